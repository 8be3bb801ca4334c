"""Other servers' protocols, as thin translations to the one scoring path.

table_payload       validation of tables, with errors located in the body that was sent
tensorflow_serving  TensorFlow Serving's REST API and KServe V1
open_inference      the Open Inference Protocol (V2) of KServe, Triton and MLServer
mlflow              MLflow's scoring server and SageMaker's hosting
"""

from app.protocols import mlflow, open_inference, tensorflow_serving

PROTOCOLS = (tensorflow_serving.PROTOCOL, open_inference.PROTOCOL, mlflow.PROTOCOL)
ROUTES = (*tensorflow_serving.ROUTES, *open_inference.ROUTES, *mlflow.ROUTES)

__all__ = ["PROTOCOLS", "ROUTES"]
