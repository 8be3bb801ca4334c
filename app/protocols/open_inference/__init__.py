"""The Open Inference Protocol (V2) of KServe, Triton and MLServer.

routes      route handlers
repository  route handlers of the model repository extension
requests    parsing of inference requests into columns
tensors     decoding and encoding of tensors, in JSON and in binary form
errors      errors in the protocol's format
"""

from app.protocols.open_inference import repository
from app.protocols.open_inference.routes import PROTOCOL, router

ROUTES = (*router.routes, *repository.router.routes)

__all__ = ["PROTOCOL", "ROUTES"]
