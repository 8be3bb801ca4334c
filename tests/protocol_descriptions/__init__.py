"""OpenAPI descriptions of the routes of other servers' protocols.

The service's own document links to the published specifications of these protocols. The tests need
to know more: what each route accepts and returns with the loaded model, errors included.

document            the OpenAPI document of all these routes
description         the description of a route, and parts that several protocols use
tensorflow_serving  TensorFlow Serving's REST API and KServe V1
open_inference      the Open Inference Protocol (V2)
mlflow              MLflow's scoring server and SageMaker's hosting
"""

from tests.protocol_descriptions.document import protocol_document

__all__ = ["protocol_document"]
