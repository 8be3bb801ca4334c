"""Hyperparameter search by nested cross-validation.

search_space  the configurations to try
nested_cv     selection in inner folds, estimates from outer folds
report        the results as text and as a page
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from pipelines.tuning.nested_cv import n_networks as n_networks
    from pipelines.tuning.nested_cv import run_sweep as run_sweep
    from pipelines.tuning.report import as_html as as_html
    from pipelines.tuning.report import as_text as as_text
    from pipelines.tuning.report import summarise as summarise
    from pipelines.tuning.search_space import configs_to_try as configs_to_try
    from pipelines.tuning.search_space import read_values as read_values
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "nested_cv": ("n_networks", "run_sweep"),
            "report": ("as_html", "as_text", "summarise"),
            "search_space": (
                "configs_to_try",
                "read_values",
            ),
        },
    )
