"""Features: the encoding of values and the imputation of missing ones.

encoding             values to features, with fitted means, scales and codes
gaussian_imputation  conditional Gaussian means and variances of missing features
"""

from model.features.encoding import Encoding
from model.features.gaussian_imputation import (
    ConditionalGaussianImputer,
    FeatureMoments,
    fit_feature_moments,
    order_by_pattern,
)

__all__ = [
    "ConditionalGaussianImputer",
    "Encoding",
    "FeatureMoments",
    "fit_feature_moments",
    "order_by_pattern",
]
