"""The description of a route, and parts that several protocols use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from app.models import DocumentedModel
from app.openapi.objects import MODEL_ERRORS, RECORD_ERRORS, object_, response
from app.routing import Handler, Json, Responses

TEXT: Json = {"type": "string"}
LOOKUP_ERRORS = (*MODEL_ERRORS, "not_found", "bad_request")
REQUEST_ERRORS = tuple(dict.fromkeys([*RECORD_ERRORS, *LOOKUP_ERRORS]))


class Description(msgspec.Struct, frozen=True):
    """What a route accepts and returns; the attributes of :class:`app.routing.Route`."""

    responses: Responses = {}
    errors: tuple[str, ...] = ()
    body: Json | None = None


Descriptions = Mapping[Handler, Description]


def query(description: str, schema: Json, *errors: str, **examples: Any) -> Description:
    """Return the description of a route that reads no body and returns JSON."""
    return Description({200: response(description, schema, **examples)}, errors)


def optional_body(content: Json) -> Json:
    """Return the Request Body Object of a JSON body that may be empty."""
    return {"required": False, "content": {"application/json": content}}


def probabilities(documented: DocumentedModel, *records: Json) -> list[float]:
    """Return the probabilities of records."""
    predictions = documented.predict_response(*records)["predictions"]
    return [prediction["probability"] for prediction in predictions]


def column_schema(name: str) -> Json:
    """Return the schema of the values of a column."""
    return {"$ref": f"#/components/schemas/Record/properties/{name}"}


ERROR = object_(error={**TEXT, "description": "What is wrong, in one sentence."})
