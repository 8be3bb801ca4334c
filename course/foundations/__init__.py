"""The lessons, one module a subject, from runs of the parts that train the model."""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from course.foundations.build import build_page as build_page
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "build": ("build_page",),
        },
    )
