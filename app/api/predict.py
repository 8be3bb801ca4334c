"""The routes ``/predict`` and ``/explain``: probabilities, intervals and explanations."""

from __future__ import annotations

from app.models import LoadedModel
from app.service import Service
from app.web import ApiError, ServiceRequest, ServiceResponse, require
from model.errors import InvalidRecords, Problem
from model.records import Batch


def register_predict(service: Service) -> None:
    """Register ``/predict``, ``/explain`` and the prediction path of a cloud platform.

    The docstrings of the handlers are published in the OpenAPI document.
    """
    settings = service.settings

    def predict(request: ServiceRequest, ignored_key: str | None = None) -> ServiceResponse:
        """Return probabilities for one record, a list of records, or ``{"instances": [records]}``.

        With ``instances``, ``"interval": true`` adds an interval to each probability and
        ``"explain": true`` adds an explanation. Not every version supports them.
        """
        model, batch = read(request, ignored_key)
        if batch.explain:
            require(service.keys, request, "explain")
        elif not batch.interval:
            return ServiceResponse(model.writer.write(model.score(batch.values)))
        return respond_with_details(model, batch, explain=batch.explain)

    def predict_for_platform(request: ServiceRequest) -> ServiceResponse:
        """Return probabilities as ``/predict`` does, for clients of Vertex AI.

        Such clients may send ``parameters`` next to ``instances``. The model has no parameters, so
        their content is ignored.
        """
        return predict(request, ignored_key="parameters")

    def explain(request: ServiceRequest) -> ServiceResponse:
        """Return probabilities and the contribution of each column to each probability."""
        return respond_with_details(*read(request), explain=True)

    def read(request: ServiceRequest, ignored_key: str | None = None) -> tuple[LoadedModel, Batch]:
        require_json(request)
        model = request.bind_model(service.models.get())
        return model, model.validate_json(request.body(), ignored_key=ignored_key)

    def respond_with_details(model: LoadedModel, batch: Batch, *, explain: bool) -> ServiceResponse:
        values, explanations, intervals = batch.values, None, None
        if explain:
            check_explanation_limit(len(values), settings.max_explained, batch.path)
            explanations = model.explain(values)
        scores = model.scorer.score(values)
        if batch.interval:
            intervals = model.intervals(values, scores)
        model.count(values, scores)
        return ServiceResponse(model.writer.write(scores, explanations, intervals))

    service.add_fast_path_route("POST", "/predict", predict, "predict")
    if path := settings.predict_route:
        service.add_fast_path_route(
            "POST", path, predict_for_platform, "predict", platform_route=True
        )
    service.add_route("POST", "/explain", explain, "explain")


def require_json(request: ServiceRequest) -> None:
    """Require that the body is declared as JSON.

    Raises:
        ApiError: the media type is not ``application/json``.
    """
    if request.media_type != "application/json":
        raise ApiError("unsupported_media_type", "send Content-Type: application/json")


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
