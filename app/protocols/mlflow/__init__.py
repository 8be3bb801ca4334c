"""The protocol of MLflow's scoring server and of SageMaker's hosting.

routes         route handlers
csv_requests   parsing of CSV bodies
json_requests  parsing of JSON and JSON Lines bodies
openapi        OpenAPI descriptions of the routes
"""

from app.protocols.mlflow.openapi import mlflow_routes, mlflow_schemas
from app.protocols.mlflow.routes import register_mlflow

__all__ = [
    "mlflow_routes",
    "mlflow_schemas",
    "register_mlflow",
]
