"""MLflow's scoring server, which SageMaker's hosting also calls.

routes         the routes
csv_requests   records as CSV
json_requests  records as JSON tables and JSON lines
openapi        descriptions of the routes
"""

from app.protocols.mlflow.openapi import mlflow_routes, mlflow_schemas
from app.protocols.mlflow.routes import register_mlflow

__all__ = [
    "mlflow_routes",
    "mlflow_schemas",
    "register_mlflow",
]
