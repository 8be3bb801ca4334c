"""MLflow's scoring server, which SageMaker's hosting takes for one of its own.

Both ask ``GET /ping`` whether a container is well and post records to ``/invocations``. MLflow's
clients send JSON in one of four forms, or CSV with a head; SageMaker's send CSV without one, JSON
or JSON lines, and may ask for one probability a line. See docs/protocols/mlflow-sagemaker-vertex.md.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np
from werkzeug.http import parse_options_header

from app.models import LoadedModel
from app.protocols.mlflow.csv_requests import parse_csv
from app.protocols.mlflow.json_requests import parse_json, parse_json_lines
from app.service import Service
from app.settings import Settings
from app.web import PUBLIC, ApiError, ErrorResponse, ServiceRequest, ServiceResponse
from model.inference import Scores

JSON, CSV, LINES = "application/json", "text/csv", "application/jsonlines"
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
MEBIBYTE = 2**20

_ERROR_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
# Nothing that could end the header or begin another one.
_SAFE_ATTRIBUTES = re.compile(r"[A-Za-z0-9 ._:/+=@,;-]{1,1024}")
_encode = msgspec.json.Encoder().encode


class ContentType(msgspec.Struct, frozen=True):
    """What a request says of its body.

    Attributes:
        has_header: whether its first row names the columns; None where it does not say.
    """

    media_type: str
    has_header: bool | None = None


def register_mlflow(service: Service) -> None:
    """Add the routes that MLflow's scoring server and SageMaker's hosting have."""
    models, settings = service.models, service.settings

    def ping(request: ServiceRequest) -> ServiceResponse:
        """Whether a verified model is loaded."""
        models.get()
        return ServiceResponse(b"{}")

    def version(request: ServiceRequest) -> ServiceResponse:
        """The version of the model that answers, as bare text."""
        return ServiceResponse(
            models.get().version.encode(), media_type="text/plain; charset=utf-8"
        )

    def invocations(request: ServiceRequest) -> ServiceResponse:
        """Probabilities for records in any of the forms that MLflow and SageMaker send."""
        declared = _parse_content_type(request)
        model = request.bind_model(models.get())
        scores = model.score(_parse_records(request.body(), model, declared))
        return _response(request, declared, scores)

    def execution_parameters(request: ServiceRequest) -> ServiceResponse:
        """How SageMaker's batch transform is to cut its input into requests."""
        return ServiceResponse(_encode(_execution_parameters(models.get(), settings)))

    for method, path, handler, scope in (
        ("GET", "/ping", ping, PUBLIC),
        ("GET", "/health", ping, PUBLIC),
        ("GET", "/version", version, PUBLIC),
        ("GET", "/execution-parameters", execution_parameters, PUBLIC),
        ("POST", "/invocations", invocations, "predict"),
    ):
        service.add_route(method, path, handler, scope, render_error=render_error)


def render_error(error_response: ErrorResponse) -> ServiceResponse:
    """A refusal as MLflow's clients know it, with all members of the problem details beside.

    MLflow has no 422: whatever is wrong with records is a 400 to its clients.
    """
    status = 400 if error_response.status == 422 else error_response.status
    told = {
        "error_code": _ERROR_CODES.get(status, "BAD_REQUEST"),
        "message": error_response.error,
        **msgspec.structs.replace(error_response, status=status).details(),
    }
    return ServiceResponse(_encode(told), status, headers=error_response.headers)


def _parse_content_type(request: ServiceRequest) -> ContentType:
    """What the header ``Content-Type`` says.

    Raises:
        ApiError: a media type that is not taken, or a parameter that would change its meaning.
    """
    media_type, parameters = parse_options_header(request.header("Content-Type"))
    media_type = media_type.lower()
    if media_type not in (JSON, CSV, LINES):
        raise ApiError("unsupported_media_type", f"send Content-Type: {JSON}, {CSV} or {LINES}")
    charset = parameters.pop("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8"):
        raise ApiError("unsupported_media_type", "the charset must be utf-8")
    head = parameters.pop("header", "").lower() if media_type == CSV else ""
    if parameters or head not in ("", "present", "absent"):
        taken = "charset and header (present or absent)" if media_type == CSV else "charset"
        raise ApiError("unsupported_media_type", f"{media_type} takes the parameters {taken} only")
    return ContentType(media_type, {"present": True, "absent": False}.get(head))


def _parse_records(body: bytes, model: LoadedModel, declared: ContentType) -> np.ndarray:
    """The validated values of a body, float32 (n, n_columns)."""
    if declared.media_type == CSV:
        return parse_csv(body, model, has_header=declared.has_header)
    if declared.media_type == LINES:
        return parse_json_lines(body, model)
    return parse_json(body, model)


def _response(request: ServiceRequest, declared: ContentType, scores: Scores) -> ServiceResponse:
    """The probabilities in the form that is asked for, exactly as ``/predict`` writes them."""
    numbers = _encode(scores.probabilities.tolist())
    headers: tuple[tuple[str, str], ...] = ()
    attributes = request.header(CUSTOM_ATTRIBUTES)
    if _SAFE_ATTRIBUTES.fullmatch(attributes):
        headers = ((CUSTOM_ATTRIBUTES, attributes),)
    media_type = _negotiate_media_type(request, declared)
    if media_type != JSON:
        lines = numbers[1:-1].replace(b",", b"\n") + b"\n"
        return ServiceResponse(lines, media_type=media_type, headers=headers)
    remarks = b"" if not scores.notes else b',"notes":' + _encode(_input_notes(scores))
    return ServiceResponse(b'{"predictions":' + numbers + remarks + b"}", headers=headers)


def _negotiate_media_type(request: ServiceRequest, declared: ContentType) -> str:
    """The media type to answer in.

    JSON unless another one is preferred, as MLflow answers CSV too; only JSON lines, which MLflow
    does not know, are answered by lines.
    """
    usual = LINES if declared.media_type == LINES else JSON
    for accepted, _ in request.accepted:
        name = accepted.partition(";")[0].strip().lower()
        if name in (JSON, CSV, LINES):
            return name
        if name == "*/*":
            break
    return usual


def _input_notes(scores: Scores) -> list[dict[str, Any]]:
    """What ``/predict`` says beside a probability, for the rows of which there is anything to say."""
    return [
        {"row": row, "missing": remarks.missing, "warnings": remarks.warnings}
        for row, remarks in scores.notes.items()
    ]


def _execution_parameters(model: LoadedModel, settings: Settings) -> dict[str, Any]:
    """Requests that stay within the limits of the service.

    Batch transform fills a request up to whole mebibytes. Where more of the shortest rows fit into
    one than a request may hold, it must send them one by one.
    """
    # A hundred in all: SageMaker takes no greater product of the two numbers.
    concurrent = min(settings.workers, 100)
    payload = max(1, min(settings.max_body_bytes // MEBIBYTE, 100 // concurrent))
    columns = model.schema.columns
    shortest_row = len(columns) + sum(column.required for column in columns)
    many = settings.max_records * shortest_row // MEBIBYTE
    return {
        "MaxConcurrentTransforms": concurrent,
        "BatchStrategy": "MULTI_RECORD" if many else "SINGLE_RECORD",
        "MaxPayloadInMB": min(payload, many) if many else payload,
    }
