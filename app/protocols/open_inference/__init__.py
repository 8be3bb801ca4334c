"""The Open Inference Protocol (V2) of KServe, Triton and MLServer.

routes      the routes
requests    inference requests as columns of records
tensors     tensors in JSON and binary form
repository  the model repository extension
openapi     descriptions of the routes
"""

from app.protocols.open_inference.openapi import open_inference_routes, open_inference_schemas
from app.protocols.open_inference.routes import register_open_inference

__all__ = [
    "open_inference_routes",
    "open_inference_schemas",
    "register_open_inference",
]
