"""Predicting, with intervals and explanations where they are asked for, in the service's own words."""

from __future__ import annotations

from app.models import LoadedModel
from app.service import Service
from app.web import ApiError, ServiceRequest, ServiceResponse, require
from model.errors import InvalidRecords, Problem
from model.records import Batch


def register_predict(service: Service) -> None:
    """Add ``/predict`` and ``/explain``."""
    settings = service.settings

    def predict(request: ServiceRequest, ignored_key: str | None = None) -> ServiceResponse:
        """Probabilities for one record, a list of records, or ``{"instances": [records]}``.

        Beside the instances ``"interval": true`` asks for an interval around each probability, and
        ``"explain": true`` for an explanation, which not every version can give.
        """
        model, batch = read(request, ignored_key)
        if batch.explain:
            require(service.keys, request, "explain")
        elif not batch.interval:
            return ServiceResponse(model.writer.write(model.score(batch.values)))
        return respond_with_details(model, batch, explain=batch.explain)

    def predict_for_platform(request: ServiceRequest) -> ServiceResponse:
        """As ``/predict``, with ``parameters`` beside ``instances``, as Vertex AI's clients send.

        The model takes none, so that nothing in them counts.
        """
        return predict(request, ignored_key="parameters")

    def explain(request: ServiceRequest) -> ServiceResponse:
        """Probabilities, and what each column contributed to each."""
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
    """Refuse a body that is not declared as JSON.

    Raises:
        ApiError: it is not.
    """
    if request.media_type != "application/json":
        raise ApiError("unsupported_media_type", "send Content-Type: application/json")


def check_explanation_limit(n_records: int, limit: int, path: str | None) -> None:
    """Refuse more records than are explained in one request.

    Raises:
        InvalidRecords: there are more.
    """
    if n_records > limit:
        message = f"must hold at most {limit} records where explanations are asked for"
        raise InvalidRecords(
            [Problem(code="too_many_records", message=message)], n_records=0, path=path
        )
