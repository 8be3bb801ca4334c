"""Predicting, with intervals and explanations where they are asked for, in the service's own words."""

from __future__ import annotations

from app.models import LoadedModel
from app.service import Service
from app.web import Answer, Call, Refused, require
from model.errors import InvalidRecords, Problem
from model.records import Batch


def register_predictions(service: Service) -> None:
    """Add ``/predict`` and ``/explain``."""
    settings = service.settings

    def predict(call: Call, ignored_key: str | None = None) -> Answer:
        """Probabilities for one record, a list of records, or ``{"instances": [records]}``.

        Beside the instances ``"interval": true`` asks for an interval around each probability, and
        ``"explain": true`` for an explanation, which not every version can give.
        """
        model, batch = read(call, ignored_key)
        if batch.explain:
            require(service.keys, call, "explain")
        elif not batch.interval:
            return Answer(model.writer.write(model.score(batch.values)))
        return with_more(model, batch, explain=batch.explain)

    def predict_for_host(call: Call) -> Answer:
        """As ``/predict``, with ``parameters`` beside ``instances``, as Vertex AI's clients send.

        The model takes none, so that nothing in them counts.
        """
        return predict(call, ignored_key="parameters")

    def explain(call: Call) -> Answer:
        """Probabilities, and what each column contributed to each."""
        return with_more(*read(call), explain=True)

    def read(call: Call, ignored_key: str | None = None) -> tuple[LoadedModel, Batch]:
        require_json(call)
        model = call.answered_by(service.models.get())
        return model, model.validate_json(call.body(), ignored_key=ignored_key)

    def with_more(model: LoadedModel, batch: Batch, *, explain: bool) -> Answer:
        values, explanations, intervals = batch.values, None, None
        if explain:
            require_few(len(values), settings.max_explained, batch.path)
            explanations = model.explain(values)
        scores = model.scorer.score(values)
        if batch.interval:
            intervals = model.intervals(values, scores)
        model.count(values, scores)
        return Answer(model.writer.write(scores, explanations, intervals))

    service.add_hot_route("POST", "/predict", predict, "predict")
    if path := settings.predict_route:
        service.add_hot_route("POST", path, predict_for_host, "predict", by_host=True)
    service.add_route("POST", "/explain", explain, "explain")


def require_json(call: Call) -> None:
    """Refuse a body that is not declared as JSON.

    Raises:
        Refused: it is not.
    """
    if call.media_type != "application/json":
        raise Refused("unsupported_media_type", "send Content-Type: application/json")


def require_few(n_records: int, limit: int, path: str | None) -> None:
    """Refuse more records than are explained in one request.

    Raises:
        InvalidRecords: there are more.
    """
    if n_records > limit:
        message = f"must hold at most {limit} records where explanations are asked for"
        raise InvalidRecords(
            [Problem(code="too_many_records", message=message)], n_records=0, path=path
        )
