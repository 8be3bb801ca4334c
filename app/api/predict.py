"""The routes ``/predict`` and ``/explain``: probabilities, intervals and explanations."""

from __future__ import annotations

from app.models import DocumentedModel, LoadedModel
from app.openapi import MODEL_ERRORS, RECORD_ERRORS, array, body, ref, response
from app.routing import Json, Responses, Router
from app.service import Service
from app.web import ApiError, ServiceRequest, ServiceResponse, require
from model.errors import InvalidRecords, Problem
from model.records import Batch

router = Router(
    tag="Predictions", errors=(*RECORD_ERRORS, *MODEL_ERRORS, "not_explainable", "no_interval")
)


def predict_body(documented: DocumentedModel) -> Json:
    """Return the body of ``/predict``."""
    record, coded = documented.record, documented.coded
    forms = [
        ref("Record"),
        array(ref("Record"), minItems=1, maxItems=documented.settings.max_records),
        ref("Instances"),
    ]
    examples = {
        "one_record": record,
        "level_codes": coded,
        "missing_values": documented.with_missing,
        "several_records": [record, coded],
        "instances": {"instances": [record]},
    }
    if _can(documented, "explain"):
        forms.append(ref("InstancesToExplain"))
        examples["with_explanations"] = {"instances": [record], "explain": True}
    if _can(documented, "interval"):
        examples["with_intervals"] = {"instances": [record], "interval": True}
    return body({"anyOf": forms}, _body_note(documented), **examples)


def platform_body(documented: DocumentedModel) -> Json:
    """Return the body of the platform's path, which may also have ``parameters``."""
    request_body = predict_body(documented)
    (content,) = request_body["content"].values()
    content["schema"]["anyOf"].append(ref("PlatformInstances"))
    return request_body


def predict_responses(documented: DocumentedModel) -> Responses:
    """Return the response of ``/predict``."""
    record = documented.record
    schema = ref("PredictResponse")
    examples = {
        "one_record": documented.predict_response(record),
        "missing_values": documented.predict_response(documented.with_missing),
        "several_records": documented.predict_response(record, documented.coded),
    }
    if _can(documented, "explain"):
        schema = {"anyOf": [ref("ExplainResponse"), schema]}
    if _can(documented, "interval"):
        examples["with_intervals"] = documented.predict_response(record, interval=True)
    return {200: response("The probabilities, in the order of the records.", schema, **examples)}


def explain_body(documented: DocumentedModel) -> Json:
    """Return the body of ``/explain``."""
    record = documented.record
    return body(
        {
            "anyOf": [
                ref("Record"),
                array(ref("Record"), minItems=1, maxItems=documented.settings.max_explained),
                ref("InstancesToExplain"),
            ]
        },
        _body_note(documented),
        one_record=record,
        several_records=[record, documented.coded],
    )


def explain_responses(documented: DocumentedModel) -> Responses:
    """Return the response of ``/explain``; none if the version has no explanation data."""
    if not _can(documented, "explain"):
        return {}
    example = documented.predict_response(documented.record, explain=True)
    description = "The probabilities and their explanations."
    return {200: response(description, ref("ExplainResponse"), one_record=example)}


def _can(documented: DocumentedModel, option: str) -> bool:
    return documented.model.capabilities[option]


def _body_note(documented: DocumentedModel) -> str:
    return (
        "The body may be compressed with gzip or deflate. "
        f"The limit is {documented.settings.max_body_bytes} bytes after decompression. "
        "The names of levels are not case-sensitive."
    )


@router.route(
    "POST",
    "/predict",
    scope="predict",
    fast_path=True,
    body=predict_body,
    responses=predict_responses,
)
def predict(
    service: Service, request: ServiceRequest, ignored_key: str | None = None
) -> ServiceResponse:
    """Return probabilities for one record, a list of records, or ``{"instances": [records]}``.

    With ``instances``, ``"interval": true`` adds an interval to each probability and
    ``"explain": true`` adds an explanation. Not every version supports them.
    """
    model, batch = _read(service, request, ignored_key)
    if batch.explain:
        require(service.keys, request, "explain")
    elif not batch.interval:
        return ServiceResponse(model.writer.write(model.score(batch.values)))
    return _respond_with_details(service, model, batch, explain=batch.explain)


@router.route(
    "POST",
    path_setting="predict_route",
    scope="predict",
    fast_path=True,
    body=platform_body,
    responses=predict_responses,
)
def predict_for_platform(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return probabilities as ``/predict`` does, for clients of Vertex AI.

    Such clients may send ``parameters`` next to ``instances``. The model has no parameters, so
    their content is ignored.
    """
    return predict(service, request, ignored_key="parameters")


@router.route("POST", "/explain", scope="explain", body=explain_body, responses=explain_responses)
def explain(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return probabilities and the contribution of each column to each probability."""
    return _respond_with_details(service, *_read(service, request), explain=True)


def _read(
    service: Service, request: ServiceRequest, ignored_key: str | None = None
) -> tuple[LoadedModel, Batch]:
    """Return the model and the validated records of a JSON body."""
    if request.media_type != "application/json":
        raise ApiError("unsupported_media_type", "send Content-Type: application/json")
    model = request.bind_model(service.models.get())
    return model, model.validate_json(request.body(), ignored_key=ignored_key)


def _respond_with_details(
    service: Service, model: LoadedModel, batch: Batch, *, explain: bool
) -> ServiceResponse:
    """Respond with explanations or intervals, or both."""
    values, explanations, intervals = batch.values, None, None
    if explain:
        check_explanation_limit(len(values), service.settings.max_explained, batch.path)
        explanations = model.explain(values)
    scores = model.scorer.score(values)
    if batch.interval:
        intervals = model.intervals(values, scores)
    model.count(values, scores)
    return ServiceResponse(model.writer.write(scores, explanations, intervals))


def check_explanation_limit(n_records: int, limit: int, path: str | None) -> None:
    """Check the number of records of a request for explanations.

    Args:
        n_records: the number of records in the request.
        limit: the setting ``max_explained``.
        path: JSON pointer to the records in the body, for the error.

    Raises:
        InvalidRecords: there are more records than the limit.
    """
    if n_records > limit:
        message = f"must hold at most {limit} records when explanations are requested"
        raise InvalidRecords(
            [Problem(code="too_many_records", message=message)], n_records=0, path=path
        )
