"""The protocol of MLflow's scoring server and of SageMaker's hosting.

routes         route handlers
csv_requests   parsing of CSV bodies
json_requests  parsing of JSON and JSON Lines bodies
errors         errors in MLflow's format
"""

from app.protocols.mlflow.routes import PROTOCOL, router

ROUTES = tuple(router.routes)

__all__ = ["PROTOCOL", "ROUTES"]
