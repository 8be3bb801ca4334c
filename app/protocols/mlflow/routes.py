"""Routes of MLflow's scoring server and of SageMaker's hosting.

Both check health with ``GET /ping`` and post records to ``/invocations``. MLflow's clients send
JSON in one of four formats, or CSV with a header. SageMaker's clients send CSV without a header,
JSON or JSON Lines, and may request one probability per line. See
docs/protocols/mlflow-sagemaker-vertex.md.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np
from werkzeug.http import parse_options_header

from app.models import DocumentedModel, LoadedModel
from app.protocols.mlflow.csv_requests import parse_csv
from app.protocols.mlflow.errors import render_error
from app.protocols.mlflow.json_requests import parse_json, parse_json_lines
from app.routing import ForeignProtocol, Json, Router
from app.service import Service
from app.settings import Settings
from app.web import PUBLIC, ApiError, ServiceRequest, ServiceResponse
from model.inference import Scores

JSON, CSV, LINES = "application/json", "text/csv", "application/jsonlines"
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
MEBIBYTE = 2**20

# No character that could end the header or begin another one.
_SAFE_ATTRIBUTES = re.compile(r"[A-Za-z0-9 ._:/+=@,;-]{1,1024}")
_encode = msgspec.json.Encoder().encode


class ContentType(msgspec.Struct, frozen=True):
    """The declared content type of a request.

    Attributes:
        has_header: whether the first row of a CSV body holds the column names; None if not
            declared.
    """

    media_type: str
    has_header: bool | None = None


def example_request(documented: DocumentedModel) -> tuple[str, Json]:
    """Return the path and the body of an example request."""
    columns, row = list(documented.coded), list(documented.coded.values())
    return "/invocations", {"dataframe_split": {"columns": columns, "data": [row]}}


PROTOCOL = ForeignProtocol(
    name="MLflow, SageMaker and Vertex AI",
    slug="mlflow",
    specifications={
        "MLflow's inference server": "https://mlflow.org/docs/latest/ml/deployment/"
        "deploy-model-locally/",
        "SageMaker's inference containers": "https://docs.aws.amazon.com/sagemaker/latest/dg/"
        "your-algorithms-inference-code.html",
        "Vertex AI's custom containers": "https://cloud.google.com/vertex-ai/docs/predictions/"
        "custom-container-requirements",
    },
    differences="NaN and empty strings mean missing. Without a loaded model the health routes "
    "return 503. Invalid records are 400, and errors list every problem of every record. For "
    "Vertex AI, the paths of /readyz and /predict are set by its environment variables.",
    example=example_request,
)

router = Router(protocol=PROTOCOL, render_error=render_error)


@router.route("GET", "/ping", "/health", scope=PUBLIC)
def ping(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Report whether a verified model is loaded; 503 if not."""
    service.models.get()
    return ServiceResponse(b"{}")


@router.route("GET", "/version", scope=PUBLIC)
def version(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the version of the current model as plain text (MLflow)."""
    text = service.models.get().version
    return ServiceResponse(text.encode(), media_type="text/plain; charset=utf-8")


@router.route("POST", "/invocations", scope="predict")
def invocations(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return probabilities for JSON in four forms, CSV or JSON lines."""
    declared = _parse_content_type(request)
    model = request.bind_model(service.models.get())
    scores = model.score(_parse_records(request.body(), model, declared))
    return _response(request, declared, scores)


@router.route("GET", "/execution-parameters", scope=PUBLIC)
def execution_parameters(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the limits by which SageMaker's batch transform splits its input into requests."""
    limits = _execution_parameters(service.models.get(), service.settings)
    return ServiceResponse(_encode(limits))


def _parse_content_type(request: ServiceRequest) -> ContentType:
    """Parse the header ``Content-Type``.

    Raises:
        ApiError: the media type or one of its parameters is not supported.
    """
    media_type, parameters = parse_options_header(request.header("Content-Type"))
    media_type = media_type.lower()
    if media_type not in (JSON, CSV, LINES):
        raise ApiError("unsupported_media_type", f"send Content-Type: {JSON}, {CSV} or {LINES}")
    charset = parameters.pop("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8"):
        raise ApiError("unsupported_media_type", "the charset must be utf-8")
    header = parameters.pop("header", "").lower() if media_type == CSV else ""
    if parameters or header not in ("", "present", "absent"):
        allowed = "charset and header (present or absent)" if media_type == CSV else "charset"
        raise ApiError("unsupported_media_type", f"{media_type} allows only {allowed}")
    return ContentType(media_type, {"present": True, "absent": False}.get(header))


def _parse_records(body: bytes, model: LoadedModel, declared: ContentType) -> np.ndarray:
    """Return the validated values of a body, float64 (n, n_columns)."""
    if declared.media_type == CSV:
        return parse_csv(body, model, has_header=declared.has_header)
    if declared.media_type == LINES:
        return parse_json_lines(body, model)
    return parse_json(body, model)


def _response(request: ServiceRequest, declared: ContentType, scores: Scores) -> ServiceResponse:
    """Return the probabilities in the requested media type, with the digits of ``/predict``."""
    numbers = _encode(scores.probabilities.tolist())
    headers: tuple[tuple[str, str], ...] = ()
    attributes = request.header(CUSTOM_ATTRIBUTES)
    if _SAFE_ATTRIBUTES.fullmatch(attributes):
        headers = ((CUSTOM_ATTRIBUTES, attributes),)
    media_type = _negotiate_media_type(request, declared)
    if media_type != JSON:
        lines = numbers[1:-1].replace(b",", b"\n") + b"\n"
        return ServiceResponse(lines, media_type=media_type, headers=headers)
    notes = b"" if not scores.notes else b',"notes":' + _encode(_input_notes(scores))
    return ServiceResponse(b'{"predictions":' + numbers + notes + b"}", headers=headers)


def _negotiate_media_type(request: ServiceRequest, declared: ContentType) -> str:
    """Return the media type of the response.

    Without a preference it is JSON, also for CSV, as in MLflow. JSON Lines, which MLflow does not
    support, are answered with JSON Lines.
    """
    default = LINES if declared.media_type == LINES else JSON
    for accepted, _ in request.accepted:
        name = accepted.partition(";")[0].strip().lower()
        if name in (JSON, CSV, LINES):
            return name
        if name == "*/*":
            break
    return default


def _input_notes(scores: Scores) -> list[dict[str, Any]]:
    """Return the missing columns and the warnings of the rows that have any."""
    return [
        {"row": row, "missing": notes.missing, "warnings": notes.warnings}
        for row, notes in scores.notes.items()
    ]


def _execution_parameters(model: LoadedModel, settings: Settings) -> dict[str, Any]:
    """Return limits that keep the requests of batch transform within those of the service.

    Batch transform fills a request up to whole mebibytes. If one mebibyte can hold more rows than
    a request may, batch transform must send records one by one.
    """
    # SageMaker allows a product of at most 100 for the two numbers.
    n_concurrent = min(settings.workers, 100)
    payload_mib = max(1, min(settings.max_body_bytes // MEBIBYTE, 100 // n_concurrent))
    columns = model.schema.columns
    shortest_row = len(columns) + sum(column.required for column in columns)
    records_mib = settings.max_records * shortest_row // MEBIBYTE
    return {
        "MaxConcurrentTransforms": n_concurrent,
        "BatchStrategy": "MULTI_RECORD" if records_mib else "SINGLE_RECORD",
        "MaxPayloadInMB": min(payload_mib, records_mib) if records_mib else payload_mib,
    }
