"""Hyperparameter search by nested cross-validation.

search_space  the configurations to try
nested_cv     selection in inner folds, estimates from outer folds
report        the results as text and as a page
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from pipelines.tuning.search_space import configs_to_try as configs_to_try
    from pipelines.tuning.search_space import read_values as read_values
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "search_space": (
                "configs_to_try",
                "read_values",
            ),
        },
    )
