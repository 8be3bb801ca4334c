"""TODO."""

from __future__ import annotations

import threading

import msgspec

from app.api import own_routes, own_schemas
from app.api_keys import OPEN
from app.models import LoadedModel
from app.openapi.document import document
from app.openapi.operations import Group, Json, Subject
from app.protocols.mlflow import mlflow_routes, mlflow_schemas
from app.protocols.open_inference import open_inference_routes, open_inference_schemas
from app.protocols.tensorflow_serving import tfserving_routes, tfserving_schemas
from app.service import Service
from app.web import Answer, Call

GROUPS = (
    Group(tfserving_routes, tfserving_schemas),
    Group(open_inference_routes, open_inference_schemas),
    Group(mlflow_routes, mlflow_schemas),
    Group(own_routes, own_schemas),  # last: a path that a host chooses is asked for nothing else
)


def register_openapi(service: Service) -> Description:
    """Add ``/openapi.json``."""
    description = Description(service)

    def openapi(call: Call) -> Answer:
        """This description, by OpenAPI 3.1."""
        return Answer(msgspec.json.encode(description.of(call.answered_by(service.models.get()))))

    # Open, as its page is: a browser sends no key, and it holds nothing of a patient.
    service.add_route("GET", "/openapi.json", openapi, OPEN)
    return description


class Description:
    """The description of the model that serves, made once a version."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._making = threading.Lock()
        self._made: tuple[LoadedModel, Json] | None = None

    def of(self, model: LoadedModel) -> Json:
        """The OpenAPI document of the service with this model."""
        with self._making:
            if self._made is None or self._made[0] is not model:
                subject = Subject(model, self._service.settings)
                self._made = (model, document(self._service, subject, GROUPS))
            return self._made[1]
