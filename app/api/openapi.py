"""The descriptions of our own routes."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from app.api.metadata import describe_model
from app.openapi import (
    JSON,
    MODEL_ERRORS,
    RECORD_ERRORS,
    DocumentedModel,
    Json,
    Operation,
    constant_response,
    media,
    record_json_schema,
    ref,
    response,
)
from app.web import CONTENT_TYPE, PROBLEM_TYPES


def api_operations(documented: DocumentedModel) -> Mapping[str, Operation]:
    """Predictions, and what the service says about itself."""
    return {**_predictions(documented), **_metadata(documented), **_documentation()}


def _predictions(documented: DocumentedModel) -> Mapping[str, Operation]:
    settings = documented.settings
    one, coded, with_missing = documented.record, documented.coded, documented.with_missing
    explained = documented.explain_response(one)
    explaining = () if explained is None else (ref("InstancesToExplain"),)
    intervals = documented.interval_response(one)
    packed = f"The body may be packed with gzip or deflate; unpacked it may hold \
{settings.max_body_bytes} bytes. Words of levels are taken in any case."
    responses = {
        200: response(
            "The probabilities, in the order of the records.",
            ref("PredictResponse")
            if explained is None
            else {"anyOf": [ref("ExplainResponse"), ref("PredictResponse")]},
            one_record=documented.predict_response(one),
            something_is_missing=documented.predict_response(with_missing),
            several_records=documented.predict_response(one, coded),
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
        something_is_missing=with_missing,
        a_list_of_records=[one, coded],
        records_under_a_name={"instances": [one]},
        **({} if explained is None else {"with_explanations": _with_option(one, "explain")}),
        **({} if intervals is None else {"with_intervals": _with_option(one, "interval")}),
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
    told = response("The probabilities and their explanations.", ref("ExplainResponse"))
    if explained is not None:
        told["content"][JSON] = media(ref("ExplainResponse"), one_record=explained)
    error_codes = (*RECORD_ERRORS, *MODEL_ERRORS, "not_explainable", "no_interval")
    predict = Operation(
        tag="Predictions",
        responses=responses,
        body={JSON: body},
        error_codes=error_codes,
        note=packed,
    )
    of_host = (
        {}
        if not settings.predict_route
        else {f"POST {settings.predict_route}": _for_platform(predict)}
    )
    return {
        "POST /predict": predict,
        **of_host,
        "POST /explain": Operation(
            tag="Predictions",
            responses={} if explained is None else {200: told},
            body={JSON: asked},
            error_codes=error_codes,
            note=packed,
        ),
    }


def _for_platform(predict: Operation) -> Operation:
    """Vertex AI's clients send ``parameters`` beside the instances, in which nothing counts."""
    body = predict.body[JSON]
    schema = {"anyOf": [*body["schema"]["anyOf"], ref("PlatformInstances")]}
    return msgspec.structs.replace(predict, body={JSON: {**body, "schema": schema}})


def _list_of_records(limit: int) -> Json:
    return {"type": "array", "minItems": 1, "maxItems": limit, "items": ref("Record")}


def _with_option(record: Json, option: str) -> Json:
    return {"instances": [record], option: True}


def _metadata(documented: DocumentedModel) -> Mapping[str, Operation]:
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
    code = next(iter(PROBLEM_TYPES))
    return {
        "GET /healthz": Operation(
            tag="Health", responses={200: constant_response("It answers.", status="alive")}
        ),
        "GET /readyz": Operation(
            tag="Health",
            responses={
                200: response(
                    "A verified model is loaded.",
                    ready,
                    ready={"ready": True, "version": documented.model.version},
                )
            },
            error_codes=MODEL_ERRORS,
        ),
        "GET /model": Operation(
            tag="The model",
            responses={
                200: response(
                    "What serves.", ref("Manifest"), this_model=describe_model(documented.model)
                )
            },
            error_codes=MODEL_ERRORS,
        ),
        "GET /schema": Operation(
            tag="The model",
            responses={
                200: response(
                    "JSON Schema (2020-12) of a record.",
                    a_schema,
                    "application/schema+json",
                    this_schema=record_json_schema(documented.schema),
                )
            },
            error_codes=MODEL_ERRORS,
        ),
        "GET /problems/{}": Operation(
            tag="Problems",
            responses={
                200: response(
                    "What the kind means.",
                    ref("ProblemType"),
                    an_example={"code": code, **PROBLEM_TYPES[code]._asdict()},
                )
            },
            error_codes=("not_found",),
        ),
        "GET /metrics": Operation(
            tag="Health",
            responses={
                200: response(
                    "The text format of Prometheus.",
                    {"type": "string"},
                    CONTENT_TYPE.partition(";")[0],
                )
            },
        ),
    }


def _documentation() -> Mapping[str, Operation]:
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
            responses={200: constant_response("It answers.", status="alive"), 302: to_docs},
        ),
        "GET /openapi.json": Operation(
            tag="Documentation",
            responses={200: response("This description.", document)},
            error_codes=MODEL_ERRORS,
        ),
        "GET /docs": Operation(
            tag="Documentation",
            responses={200: response("A page.", text, "text/html")},
            error_codes=MODEL_ERRORS,
        ),
        "GET /docs/page.css": Operation(
            tag="Documentation", responses={200: response("A style sheet.", text, "text/css")}
        ),
        "GET /docs/try.js": Operation(
            tag="Documentation", responses={200: response("A script.", text, "text/javascript")}
        ),
    }
