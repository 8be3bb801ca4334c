"""Features: the encoding of values, and the imputation of missing ones.

encoding             values to features with fitted means, scales and levels
gaussian_imputation  conditional Gaussian means of missing features
"""

from model.features.encoding import Encoding
from model.features.gaussian_imputation import (
    ConditionalMeans,
    Inputs,
    measure_inputs,
    order_by_pattern,
)

__all__ = [
    "ConditionalMeans",
    "Encoding",
    "Inputs",
    "measure_inputs",
    "order_by_pattern",
]
