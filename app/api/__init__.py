"""The service's own routes.

predict        /predict and /explain
metadata       /healthz, /readyz, /model, /schema, /problems, /metrics
documentation  /openapi.json
schemas        the JSON Schemas of their request and response bodies
"""

from app.api import documentation, metadata, predict
from app.api.documentation import document_of
from app.api.predict import check_explanation_limit
from app.api.schemas import api_schemas

ROUTES = (*predict.router.routes, *metadata.router.routes, *documentation.router.routes)

__all__ = ["ROUTES", "api_schemas", "check_explanation_limit", "document_of"]
