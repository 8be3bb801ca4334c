"""The service's own routes.

predict   /predict and /explain
metadata  /healthz, /readyz, /model, /schema, /problems, /metrics
openapi   their descriptions
schemas   the JSON Schemas of their bodies
"""

from app.api.metadata import NOT_SHOWN, register_about
from app.api.openapi import own_routes
from app.api.predict import register_predictions, require_few
from app.api.schemas import own_schemas

__all__ = [
    "NOT_SHOWN",
    "own_routes",
    "own_schemas",
    "register_about",
    "register_predictions",
    "require_few",
]
