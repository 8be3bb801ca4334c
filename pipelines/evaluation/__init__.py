"""Evaluation of recipes and baselines on the same folds, and on the tables of other sites.

folds                the folds of a table, with their fitted preprocessing
network_folds        networks trained on the folds
baselines            other kinds of model on the folds
cross_validation     comparison of recipes with baselines
external_validation  a version or a recipe on the table of another site
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from pipelines.evaluation.baselines import REFERENCE as REFERENCE
    from pipelines.evaluation.baselines import choose_baselines as choose_baselines
    from pipelines.evaluation.cross_validation import evaluate_recipe as evaluate_recipe
    from pipelines.evaluation.cross_validation import (
        evaluate_with_baselines as evaluate_with_baselines,
    )
    from pipelines.evaluation.external_validation import ExternalValidation as ExternalValidation
    from pipelines.evaluation.external_validation import validate_recipe as validate_recipe
    from pipelines.evaluation.external_validation import validate_version as validate_version
    from pipelines.evaluation.folds import N_SPLITS as N_SPLITS
    from pipelines.evaluation.folds import SECOND_SEED as SECOND_SEED
    from pipelines.evaluation.folds import SEED as SEED
    from pipelines.evaluation.folds import fit_encodings as fit_encodings
    from pipelines.evaluation.folds import prepare_folds as prepare_folds
    from pipelines.evaluation.network_folds import FoldNetworks as FoldNetworks
    from pipelines.evaluation.network_folds import FoldRows as FoldRows
    from pipelines.evaluation.network_folds import NetworkSpec as NetworkSpec
    from pipelines.evaluation.network_folds import fit_fold_networks as fit_fold_networks
    from pipelines.evaluation.network_folds import fit_networks as fit_networks
    from pipelines.evaluation.network_folds import train_folds as train_folds
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "baselines": ("REFERENCE", "choose_baselines"),
            "cross_validation": ("evaluate_recipe", "evaluate_with_baselines"),
            "external_validation": (
                "ExternalValidation",
                "validate_version",
                "validate_recipe",
            ),
            "folds": (
                "N_SPLITS",
                "SEED",
                "SECOND_SEED",
                "fit_encodings",
                "prepare_folds",
            ),
            "network_folds": (
                "FoldNetworks",
                "FoldRows",
                "NetworkSpec",
                "fit_fold_networks",
                "fit_networks",
                "train_folds",
            ),
        },
    )
