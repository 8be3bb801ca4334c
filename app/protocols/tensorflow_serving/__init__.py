"""TensorFlow Serving's REST API, and KServe's V1 protocol on the same paths.

routes    the routes
requests  rows, columns and examples as records
errors    errors in the protocol's form
metadata  model status and signature
openapi   descriptions of the routes
"""

from app.protocols.tensorflow_serving.openapi import tfserving_routes, tfserving_schemas
from app.protocols.tensorflow_serving.routes import register_tensorflow_serving

__all__ = [
    "register_tensorflow_serving",
    "tfserving_routes",
    "tfserving_schemas",
]
