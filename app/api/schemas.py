"""JSON Schemas of the request and response bodies of the service's own API."""

from __future__ import annotations

from app.api.metadata import HIDDEN_FIELDS
from app.models import DocumentedModel
from app.openapi import array, derive_schemas, record_json_schema, ref, with_optional
from app.routing import Json
from app.web import PROBLEM_TYPES, SAFE_ID, ProblemType
from model.artifacts import Manifest
from model.errors import Problem
from model.inference import Interval, Prediction
from model.records import OPTIONS
from model.schema import Source


def api_schemas(documented: DocumentedModel) -> Json:
    """Return the schemas of the bodies, by name."""
    schema, settings = documented.schema, documented.settings
    record = {k: v for k, v in record_json_schema(schema).items() if k != "$schema"}
    schemas = derive_schemas(Problem, Prediction, Interval, Manifest, Source)
    names = list(schema.column_names)
    outcome = schema.outcome

    prediction = schemas["Prediction"]["properties"]
    prediction["probability"] |= {"minimum": 0, "maximum": 1}
    prediction["label"] |= {"enum": [outcome.negative, outcome.positive]}
    prediction["threshold"] |= {"const": documented.model.manifest.threshold}
    prediction["missing"]["items"] = {"enum": names}
    schemas["InputWarning"]["properties"]["field"] |= {"enum": names}
    if documented.model.capabilities["interval"]:
        prediction["interval"] = ref("Interval")
    interval = schemas["Interval"]["properties"]
    for name in ("low", "high", "level"):
        interval[name] |= {"minimum": 0, "maximum": 1}
    schemas["Interval"]["required"] = list(interval)

    problem = schemas.pop("Problem")
    # No enumeration: a later release may add codes, and clients must accept unknown ones.
    code = problem["properties"]["code"]
    code["examples"] = code.pop("enum")
    code["type"] = "string"
    problem["properties"]["pointer"] = {
        "type": "string",
        "description": "JSON pointer (RFC 6901) to the location of the problem in the body.",
        "pattern": "^#",
    }
    problem["required"].append("pointer")

    manifest = schemas.pop("Manifest")
    for name in HIDDEN_FIELDS:
        del manifest["properties"][name]
    manifest["required"] = [n for n in manifest["required"] if n not in HIDDEN_FIELDS]
    manifest["required"] += ["outcome", "capabilities", "source"]
    manifest["properties"] |= {
        "outcome": _OUTCOME,
        "capabilities": _CAPABILITIES,
        "source": ref("Source"),
    }
    del schemas["FileRecord"]

    instances = _instances(documented, settings.max_records, {"const": False})
    return schemas | {
        "Record": record,
        "RecordProblem": problem,
        "Instances": instances,
        "InstancesToExplain": _instances(documented, settings.max_explained, {}),
        "PlatformInstances": with_optional(instances, parameters={}),
        "PredictResponse": _prediction_response(documented, ref("Prediction")),
        "ExplainResponse": _prediction_response(
            documented,
            {
                "allOf": [
                    ref("Prediction"),
                    {
                        "type": "object",
                        "required": ["explanation"],
                        "properties": {"explanation": ref("Explanation")},
                    },
                ]
            },
        ),
        "Explanation": _explanation(names),
        "Manifest": manifest,
        "Problem": _PROBLEM_DETAILS,
        "ProblemType": _problem_type(),
    }


def _instances(documented: DocumentedModel, limit: int, explain: Json) -> Json:
    interval = {} if documented.model.capabilities["interval"] else {"const": False}
    records = array(ref("Record"), minItems=1, maxItems=limit)
    return {
        "type": "object",
        "required": ["instances"],
        "properties": {
            "instances": records,
            "explain": {"type": "boolean", **explain},
            "interval": {"type": "boolean", **interval},
        },
        "additionalProperties": False,
    }


def _prediction_response(documented: DocumentedModel, prediction: Json) -> Json:
    return {
        "type": "object",
        "required": ["model", "version", "predictions"],
        "properties": {
            "model": {"type": "string", "const": documented.model.name},
            "version": {"type": "string", "description": "The version that made the predictions."},
            "predictions": {
                "type": "array",
                "description": "Prediction i belongs to record i.",
                "minItems": 1,
                "items": prediction,
            },
        },
    }


def _explanation(names: list[str]) -> Json:
    by_column = {
        "type": "object",
        "propertyNames": {"enum": names},
        "additionalProperties": {"type": "number"},
    }
    return {
        "type": "object",
        "description": "Shapley values in log-odds. The base plus the contributions equals the "
        "log-odds of the prediction. They describe the model and not causes.",
        "required": ["base", "log_odds", "contributions"],
        "properties": {
            "base": {
                "type": "number",
                "description": "The mean log-odds over a background sample.",
            },
            "log_odds": {"type": "number", "description": "The log-odds of this prediction."},
            "contributions": by_column,
            "standard_errors": by_column
            | {"description": "Present if the contributions are estimates; absent if exact."},
        },
    }


def _problem_type() -> Json:
    return {
        "type": "object",
        "description": "A problem type and how to resolve it.",
        "required": ["code", *ProblemType._fields],
        "properties": {
            "code": {"enum": list(PROBLEM_TYPES)},
            "status": {"type": "integer"},
            "title": {"type": "string"},
            "resolution": {"type": "string"},
        },
    }


_OUTCOME = {
    "type": "object",
    "description": "The event that the probability refers to, and the limits of its meaning.",
    "required": ["rule", "positive", "negative", "meaning", "caution"],
    "additionalProperties": {"type": "string"},
}


_CAPABILITIES = {
    "type": "object",
    "description": "Whether this version supports each option of a request.",
    "required": list(OPTIONS),
    "properties": {name: {"type": "boolean"} for name in OPTIONS},
}


_PROBLEM_DETAILS = {
    "type": "object",
    "description": "Problem details (RFC 9457), plus a one-sentence summary in error.",
    "required": ["error", "type", "title", "status", "detail", "instance"],
    "properties": {
        "error": {"type": "string", "description": "What is wrong, in one sentence."},
        "type": {
            "enum": [f"/problems/{code}" for code in PROBLEM_TYPES],
            "description": "The problem type; GET this path to read how to resolve it.",
        },
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {
            "type": "string",
            "description": "The path /requests/ID with the request ID, which the log contains too.",
            "pattern": f"^/requests/{SAFE_ID.pattern}$",
        },
        "errors": {
            "type": "array",
            "description": "Every problem of every record.",
            "items": ref("RecordProblem"),
        },
    },
}
