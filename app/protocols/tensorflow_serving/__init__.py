"""TensorFlow Serving's REST API, and KServe's V1 protocol on the same paths.

routes    route handlers
requests  parsing of rows, columns and examples
errors    errors in the protocol's format
metadata  version states and the signature
openapi   OpenAPI descriptions of the routes
"""

from app.protocols.tensorflow_serving.openapi import tfserving_routes, tfserving_schemas
from app.protocols.tensorflow_serving.routes import register_tensorflow_serving

__all__ = [
    "register_tensorflow_serving",
    "tfserving_routes",
    "tfserving_schemas",
]
