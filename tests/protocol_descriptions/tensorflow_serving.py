"""The routes of TensorFlow Serving's REST API and of KServe's V1."""

from __future__ import annotations

from app.models import DocumentedModel
from app.openapi.objects import MODEL_ERRORS, array, body, object_, ref, response, with_optional
from app.protocols.tensorflow_serving import routes
from app.routing import Json
from app.web import CONTENT_TYPE
from tests.protocol_descriptions.description import (
    LOOKUP_ERRORS,
    REQUEST_ERRORS,
    TEXT,
    Description,
    Descriptions,
    column_schema,
    probabilities,
    query,
)

PROBABILITY: Json = {"type": "number", "minimum": 0, "maximum": 1}


def descriptions(documented: DocumentedModel) -> Descriptions:
    """Return the descriptions of the handlers."""
    record, coded = documented.record, documented.coded
    outcome, columns = documented.schema.outcome, documented.schema.column_names
    p, q = probabilities(documented, record, coded)
    prediction = array(PROBABILITY, minItems=1, maxItems=1)
    class_score = array(
        {"anyOf": [{"enum": [outcome.negative, outcome.positive]}, PROBABILITY]},
        minItems=2,
        maxItems=2,
    )
    class_scores = [[[outcome.negative, 1 - x], [outcome.positive, x]] for x in (p, q)]
    predict = body(
        {"anyOf": [ref("TensorRows"), ref("TensorColumns")]},
        rows={"instances": [record, coded]},
        columns={"inputs": {name: [record[name], coded[name]] for name in columns}},
    )
    classify = body(ref("TensorExamples"), examples={"examples": [record, coded]})
    lookup_errors = (*LOOKUP_ERRORS, "method_not_allowed")
    return {
        routes.predict: Description(
            {
                200: response(
                    "One list per record, holding its probability.",
                    {
                        "anyOf": [
                            object_(predictions=array(prediction)),
                            object_(outputs=array(prediction)),
                        ]
                    },
                    rows={"predictions": [[p], [q]]},
                    columns={"outputs": [[p], [q]]},
                )
            },
            REQUEST_ERRORS,
            predict,
        ),
        routes.classify: Description(
            {
                200: response(
                    "Both labels of the outcome with their probabilities, for each example.",
                    object_(results=array(array(class_score, minItems=2))),
                    two_examples={"results": class_scores},
                )
            },
            REQUEST_ERRORS,
            classify,
        ),
        routes.regress: Description(
            {
                200: response(
                    "One probability per example.",
                    object_(results=array(PROBABILITY)),
                    two_examples={"results": [p, q]},
                )
            },
            REQUEST_ERRORS,
            classify,
        ),
        routes.explain: explain(documented),
        routes.unknown_verb: Description(errors=("bad_request",)),
        routes.status: query(
            "The versions and their states.",
            object_(model_version_status=array(version_status())),
            *lookup_errors,
            available={
                "model_version_status": [
                    {
                        "version": documented.model.version,
                        "state": "AVAILABLE",
                        "status": {"error_code": "OK", "error_message": ""},
                    }
                ]
            },
        ),
        routes.metadata: query(
            "The signature: one input per column, one output.",
            object_(
                model_spec=object_(name=TEXT, signature_name=TEXT, version=TEXT),
                metadata=object_(signature_def=object_(signature_def={"type": "object"})),
            ),
            *lookup_errors,
        ),
        routes.model_names: query(
            "The names of the models.",
            object_(models=array(TEXT)),
            *MODEL_ERRORS,
            one_model={"models": [documented.model.name]},
        ),
        routes.metrics: Description(
            {200: response("The metrics.", TEXT, CONTENT_TYPE.partition(";")[0])}
        ),
    }


def explain(documented: DocumentedModel) -> Description:
    """Return the description of explanations; without a response if the version has none."""
    success = response(
        "The contribution of each column to each prediction.",
        object_(explanations=array(ref("Explanation"))),
    )
    request_body = body(
        {"anyOf": [ref("TensorRows"), ref("TensorColumns")]},
        rows={"instances": [documented.record]},
    )
    available = documented.model.capabilities["explain"]
    return Description(
        {200: success} if available else {}, (*REQUEST_ERRORS, "not_explainable"), request_body
    )


def version_status() -> Json:
    """Return the schema of the status of a version."""
    return object_(
        version={"type": "string", "pattern": "^[0-9]+$"},
        state={"enum": ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
        status=object_(error_code=TEXT, error_message=TEXT),
    )


def schemas(documented: DocumentedModel) -> Json:
    """Return the schemas of the request bodies."""
    name: Json = {"enum": ["", "serving_default"]}
    properties = {column: column_schema(column) for column in documented.schema.column_names}
    columns = {
        "type": "object",
        "required": list(properties),
        "properties": {column: array(schema) for column, schema in properties.items()},
    }
    limits = {"minItems": 1, "maxItems": documented.settings.max_records}
    examples = array({"type": "object", "properties": properties}, **limits)
    return {
        "TensorRows": with_optional(
            object_(instances=array(ref("Record"), **limits)), signature_name=name
        ),
        "TensorColumns": with_optional(object_(inputs=columns), signature_name=name),
        "TensorExamples": with_optional(
            object_(examples=examples),
            signature_name=TEXT,
            context={"type": "object", "properties": properties},
        ),
    }
