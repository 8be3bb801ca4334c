"""The Open Inference Protocol (V2) of KServe, Triton and MLServer.

routes      route handlers
requests    parsing of inference requests into columns
tensors     decoding and encoding of tensors, in JSON and in binary form
repository  routes of the model repository extension
openapi     OpenAPI descriptions of the routes
"""

from app.protocols.open_inference.openapi import open_inference_routes, open_inference_schemas
from app.protocols.open_inference.routes import register_open_inference

__all__ = [
    "open_inference_routes",
    "open_inference_schemas",
    "register_open_inference",
]
