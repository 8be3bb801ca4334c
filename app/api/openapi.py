"""The descriptions of our own routes."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from app.api.metadata import described_model
from app.openapi import (
    JSON,
    NEEDS_MODEL,
    READS_RECORDS,
    Json,
    Operation,
    Subject,
    answer,
    constants,
    media,
    record_schema,
    ref,
)
from app.web import CONTENT_TYPE, KINDS


def own_routes(subject: Subject) -> Mapping[str, Operation]:
    """Predictions, and what the service says about itself."""
    return {**_predictions(subject), **_about(subject), **_for_people()}


def _predictions(subject: Subject) -> Mapping[str, Operation]:
    settings = subject.settings
    one, coded, gappy = subject.record, subject.coded, subject.gappy
    explained = subject.explained(one)
    explaining = () if explained is None else (ref("InstancesToExplain"),)
    intervals = subject.with_intervals(one)
    packed = f"The body may be packed with gzip or deflate; unpacked it may hold \
{settings.max_body_bytes} bytes. Words of levels are taken in any case."
    answers = {
        200: answer(
            "The probabilities, in the order of the records.",
            ref("Answer")
            if explained is None
            else {"anyOf": [ref("ExplainedAnswer"), ref("Answer")]},
            one_record=subject.answer(one),
            something_is_missing=subject.answer(gappy),
            several_records=subject.answer(one, coded),
            **({} if intervals is None else {"with_intervals": intervals}),
        )
    }
    body = media(
        {
            "anyOf": [
                ref("Record"),
                _list_of_records(settings.max_records),
                ref("Instances"),
                *explaining,
            ]
        },
        one_record=one,
        a_record_in_codes=coded,
        something_is_missing=gappy,
        a_list_of_records=[one, coded],
        records_under_a_name={"instances": [one]},
        **({} if explained is None else {"with_explanations": _asking(one, "explain")}),
        **({} if intervals is None else {"with_intervals": _asking(one, "interval")}),
    )
    asked = media(
        {
            "anyOf": [
                ref("Record"),
                _list_of_records(settings.max_explained),
                ref("InstancesToExplain"),
            ]
        },
        one_record=one,
        a_list_of_records=[one, coded],
    )
    told = answer("The probabilities and their explanations.", ref("ExplainedAnswer"))
    if explained is not None:
        told["content"][JSON] = media(ref("ExplainedAnswer"), one_record=explained)
    refusals = (*READS_RECORDS, *NEEDS_MODEL, "not_explainable", "no_interval")
    predict = Operation(
        tag="Predictions",
        answers=answers,
        body={JSON: body},
        refusals=refusals,
        note=packed,
    )
    of_host = (
        {} if not settings.predict_route else {f"POST {settings.predict_route}": _for_host(predict)}
    )
    return {
        "POST /predict": predict,
        **of_host,
        "POST /explain": Operation(
            tag="Predictions",
            answers={} if explained is None else {200: told},
            body={JSON: asked},
            refusals=refusals,
            note=packed,
        ),
    }


def _for_host(predict: Operation) -> Operation:
    """Vertex AI's clients send ``parameters`` beside the instances, in which nothing counts."""
    body = predict.body[JSON]
    schema = {"anyOf": [*body["schema"]["anyOf"], ref("HostInstances")]}
    return msgspec.structs.replace(predict, body={JSON: {**body, "schema": schema}})


def _list_of_records(limit: int) -> Json:
    return {"type": "array", "minItems": 1, "maxItems": limit, "items": ref("Record")}


def _asking(record: Json, option: str) -> Json:
    return {"instances": [record], option: True}


def _about(subject: Subject) -> Mapping[str, Operation]:
    ready = {
        "type": "object",
        "required": ["ready", "version"],
        "properties": {
            "ready": {"const": True},
            "version": {"type": "string"},
            "also_loaded": {"type": "array", "items": {"type": "string"}},
            "reload_failure": {
                "type": "string",
                "description": "Why what is wanted is not what serves.",
            },
        },
    }
    a_schema = {"type": "object", "required": ["$schema", "type", "properties", "required"]}
    code = next(iter(KINDS))
    return {
        "GET /healthz": Operation(
            tag="Health", answers={200: constants("It answers.", status="alive")}
        ),
        "GET /readyz": Operation(
            tag="Health",
            answers={
                200: answer(
                    "A verified model is loaded.",
                    ready,
                    ready={"ready": True, "version": subject.model.version},
                )
            },
            refusals=NEEDS_MODEL,
        ),
        "GET /model": Operation(
            tag="The model",
            answers={
                200: answer(
                    "What serves.", ref("Manifest"), this_model=described_model(subject.model)
                )
            },
            refusals=NEEDS_MODEL,
        ),
        "GET /schema": Operation(
            tag="The model",
            answers={
                200: answer(
                    "JSON Schema (2020-12) of a record.",
                    a_schema,
                    "application/schema+json",
                    this_schema=record_schema(subject.schema),
                )
            },
            refusals=NEEDS_MODEL,
        ),
        "GET /problems/{}": Operation(
            tag="Problems",
            answers={
                200: answer(
                    "What the kind means.",
                    ref("Kind"),
                    an_example={"code": code, **KINDS[code]._asdict()},
                )
            },
            refusals=("not_found",),
        ),
        "GET /metrics": Operation(
            tag="Health",
            answers={
                200: answer(
                    "The text format of Prometheus.",
                    {"type": "string"},
                    CONTENT_TYPE.partition(";")[0],
                )
            },
        ),
    }


def _for_people() -> Mapping[str, Operation]:
    document = {
        "type": "object",
        "required": ["openapi", "info", "paths", "components"],
        "properties": {"openapi": {"const": "3.1.0"}},
    }
    text: Json = {"type": "string"}
    to_docs = {
        "description": "To the documentation, for whoever prefers HTML to JSON.",
        "headers": {"Location": {"required": True, "schema": {"const": "/docs"}}},
    }
    return {
        "GET /": Operation(
            tag="Documentation",
            answers={200: constants("It answers.", status="alive"), 302: to_docs},
        ),
        "GET /openapi.json": Operation(
            tag="Documentation",
            answers={200: answer("This description.", document)},
            refusals=NEEDS_MODEL,
        ),
        "GET /docs": Operation(
            tag="Documentation",
            answers={200: answer("A page.", text, "text/html")},
            refusals=NEEDS_MODEL,
        ),
        "GET /docs/page.css": Operation(
            tag="Documentation", answers={200: answer("A style sheet.", text, "text/css")}
        ),
        "GET /docs/try.js": Operation(
            tag="Documentation", answers={200: answer("A script.", text, "text/javascript")}
        ),
    }
