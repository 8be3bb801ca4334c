"""The service's own routes.

predict   /predict and /explain
metadata  /healthz, /readyz, /model, /schema, /problems, /metrics
openapi   their OpenAPI operations
schemas   the JSON Schemas of their request and response bodies
"""

from app.api.metadata import HIDDEN_FIELDS, register_metadata
from app.api.openapi import api_operations
from app.api.predict import check_explanation_limit, register_predict
from app.api.schemas import api_schemas

__all__ = [
    "HIDDEN_FIELDS",
    "api_operations",
    "api_schemas",
    "check_explanation_limit",
    "register_metadata",
    "register_predict",
]
