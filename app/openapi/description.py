"""The OpenAPI document of the loaded model, and the route that serves it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec

from app.models import LoadedModel
from app.openapi.document import document
from app.openapi.operations import Group, Json, Subject
from app.service import Service
from app.web import OPEN, Answer, Call


def register_openapi(service: Service, groups: Sequence[Group]) -> Description:
    """Add ``/openapi.json``.

    Args:
        groups: the descriptions of the routes, by API.
    """
    description = Description(service, groups)

    def openapi(call: Call) -> Answer:
        """This description, by OpenAPI 3.1."""
        return Answer(msgspec.json.encode(description.of(call.answered_by(service.models.get()))))

    # Open, as its page is: a browser sends no key, and it holds nothing of a patient.
    service.add_route("GET", "/openapi.json", openapi, OPEN)
    return description


class Description:
    """The description of the model that serves, made once a version."""

    def __init__(self, service: Service, groups: Sequence[Group]) -> None:
        self._service = service
        self._groups = groups
        self._making = threading.Lock()
        self._made: tuple[LoadedModel, Json] | None = None

    def of(self, model: LoadedModel) -> Json:
        """The OpenAPI document of the service with this model."""
        with self._making:
            if self._made is None or self._made[0] is not model:
                subject = Subject(model, self._service.settings)
                self._made = (model, document(self._service, subject, self._groups))
            return self._made[1]
