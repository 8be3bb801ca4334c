"""Hyperparameter search by nested cross-validation.

search_space  values of settings, and the configurations made from them
nested_cv     selection in inner folds, estimates from outer folds
report        the results as text and as an HTML page
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from pipelines.tuning.nested_cv import count_networks as count_networks
    from pipelines.tuning.nested_cv import run_nested_cv as run_nested_cv
    from pipelines.tuning.report import format_report as format_report
    from pipelines.tuning.report import render_report as render_report
    from pipelines.tuning.report import summarise as summarise
    from pipelines.tuning.search_space import candidate_configs as candidate_configs
    from pipelines.tuning.search_space import parse_search_dimension as parse_search_dimension
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "nested_cv": ("count_networks", "run_nested_cv"),
            "report": ("render_report", "format_report", "summarise"),
            "search_space": (
                "candidate_configs",
                "parse_search_dimension",
            ),
        },
    )
