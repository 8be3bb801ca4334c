"""The OpenAPI operations of the service's own routes."""

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
    """Return the operations of the service's own routes, by method and path."""
    return {**_predictions(documented), **_metadata(documented), **_documentation()}


def _predictions(documented: DocumentedModel) -> Mapping[str, Operation]:
    settings = documented.settings
    record, coded, with_missing = documented.record, documented.coded, documented.with_missing
    explanations = documented.explain_response(record)
    explain_instances = () if explanations is None else (ref("InstancesToExplain"),)
    intervals = documented.interval_response(record)
    note = (
        "The body may be compressed with gzip or deflate. "
        f"The limit is {settings.max_body_bytes} bytes after decompression. "
        "The names of levels are not case-sensitive."
    )
    responses = {
        200: response(
            "The probabilities, in the order of the records.",
            ref("PredictResponse")
            if explanations is None
            else {"anyOf": [ref("ExplainResponse"), ref("PredictResponse")]},
            one_record=documented.predict_response(record),
            missing_values=documented.predict_response(with_missing),
            several_records=documented.predict_response(record, coded),
            **({} if intervals is None else {"with_intervals": intervals}),
        )
    }
    body = media(
        {
            "anyOf": [
                ref("Record"),
                _list_of_records(settings.max_records),
                ref("Instances"),
                *explain_instances,
            ]
        },
        one_record=record,
        one_record_with_level_codes=coded,
        missing_values=with_missing,
        list_of_records=[record, coded],
        object_with_instances={"instances": [record]},
        **({} if explanations is None else {"with_explanations": _with_option(record, "explain")}),
        **({} if intervals is None else {"with_intervals": _with_option(record, "interval")}),
    )
    explain_body = media(
        {
            "anyOf": [
                ref("Record"),
                _list_of_records(settings.max_explained),
                ref("InstancesToExplain"),
            ]
        },
        one_record=record,
        list_of_records=[record, coded],
    )
    explain_response = response("The probabilities and their explanations.", ref("ExplainResponse"))
    if explanations is not None:
        explain_response["content"][JSON] = media(ref("ExplainResponse"), one_record=explanations)
    error_codes = (*RECORD_ERRORS, *MODEL_ERRORS, "not_explainable", "no_interval")
    predict = Operation(
        tag="Predictions",
        responses=responses,
        body={JSON: body},
        error_codes=error_codes,
        note=note,
    )
    platform_route = (
        {f"POST {settings.predict_route}": _for_platform(predict)} if settings.predict_route else {}
    )
    return {
        "POST /predict": predict,
        **platform_route,
        "POST /explain": Operation(
            tag="Predictions",
            responses={} if explanations is None else {200: explain_response},
            body={JSON: explain_body},
            error_codes=error_codes,
            note=note,
        ),
    }


def _for_platform(predict: Operation) -> Operation:
    """Return the operation of the platform's path, whose body may also have ``parameters``."""
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
                "description": "Why the last reload failed.",
            },
        },
    }
    json_schema = {"type": "object", "required": ["$schema", "type", "properties", "required"]}
    code = next(iter(PROBLEM_TYPES))
    return {
        "GET /healthz": Operation(
            tag="Health",
            responses={200: constant_response("The process is alive.", status="alive")},
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
                    "The manifest of the loaded version.",
                    ref("Manifest"),
                    loaded_version=describe_model(documented.model),
                )
            },
            error_codes=MODEL_ERRORS,
        ),
        "GET /schema": Operation(
            tag="The model",
            responses={
                200: response(
                    "The JSON Schema (draft 2020-12) of a record.",
                    json_schema,
                    "application/schema+json",
                    loaded_version=record_json_schema(documented.schema),
                )
            },
            error_codes=MODEL_ERRORS,
        ),
        "GET /problems/{}": Operation(
            tag="Problems",
            responses={
                200: response(
                    "The problem type.",
                    ref("ProblemType"),
                    problem_type={"code": code, **PROBLEM_TYPES[code]._asdict()},
                )
            },
            error_codes=("not_found",),
        ),
        "GET /metrics": Operation(
            tag="Health",
            responses={
                200: response(
                    "The metrics in the Prometheus text format.",
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
        "description": "A redirect to the documentation, for clients that prefer HTML to JSON.",
        "headers": {"Location": {"required": True, "schema": {"const": "/docs"}}},
    }
    return {
        "GET /": Operation(
            tag="Documentation",
            responses={
                200: constant_response("The process is alive.", status="alive"),
                302: to_docs,
            },
        ),
        "GET /openapi.json": Operation(
            tag="Documentation",
            responses={200: response("The OpenAPI document.", document)},
            error_codes=MODEL_ERRORS,
        ),
        "GET /docs": Operation(
            tag="Documentation",
            responses={200: response("The documentation page.", text, "text/html")},
            error_codes=MODEL_ERRORS,
        ),
        "GET /docs/page.css": Operation(
            tag="Documentation", responses={200: response("The style sheet.", text, "text/css")}
        ),
        "GET /docs/try.js": Operation(
            tag="Documentation", responses={200: response("The script.", text, "text/javascript")}
        ),
    }
