"""TensorFlow Serving's REST API, and KServe's V1 protocol on the same paths.

routes    route handlers
requests  parsing of rows, columns and examples
errors    errors in the protocol's format
metadata  version states and the signature
"""

from app.protocols.tensorflow_serving.routes import PROTOCOL, router

ROUTES = tuple(router.routes)

__all__ = ["PROTOCOL", "ROUTES"]
