"""JSON Schemas of the bodies of our own API."""

from __future__ import annotations

from app.api.metadata import HIDDEN_FIELDS
from app.openapi import (
    DocumentedModel,
    Json,
    derive_schemas,
    object_,
    record_json_schema,
    ref,
    with_optional,
)
from app.web import PROBLEM_TYPES, SAFE_ID, ProblemType
from model.artifacts import Manifest
from model.errors import Problem
from model.inference import Interval, Prediction
from model.records import OPTIONS
from model.schema import Source


def api_schemas(documented: DocumentedModel) -> Json:
    """The schemas of our own bodies, and what others share with them."""
    schema, settings = documented.schema, documented.settings
    record = {k: v for k, v in record_json_schema(schema).items() if k != "$schema"}
    found = derive_schemas(Problem, Prediction, Interval, Manifest, Source)
    names = list(schema.column_names)
    outcome = schema.outcome

    prediction = found["Prediction"]["properties"]
    prediction["probability"] |= {"minimum": 0, "maximum": 1}
    prediction["label"] |= {"enum": [outcome.negative, outcome.positive]}
    prediction["threshold"] |= {"const": documented.model.manifest.threshold}
    prediction["missing"]["items"] = {"enum": names}
    found["InputWarning"]["properties"]["field"] |= {"enum": names}
    if documented.model.capabilities["interval"]:
        prediction["interval"] = ref("Interval")
    interval = found["Interval"]["properties"]
    for name in ("low", "high", "level"):
        interval[name] |= {"minimum": 0, "maximum": 1}
    found["Interval"]["required"] = list(interval)

    found["RecordProblem"] = found.pop("Problem")
    code = found["RecordProblem"]["properties"]["code"]
    # Not an enumeration: a later release may add codes, and clients must bear one they do not know.
    code["examples"] = code.pop("enum")
    code["type"] = "string"
    found["RecordProblem"]["properties"]["pointer"] = {
        "type": "string",
        "description": "JSON pointer (RFC 6901) to its place in the body.",
        "pattern": "^#",
    }
    found["RecordProblem"]["required"].append("pointer")

    manifest = found.pop("Manifest")
    for name in HIDDEN_FIELDS:
        del manifest["properties"][name]
    manifest["required"] = [n for n in manifest["required"] if n not in HIDDEN_FIELDS]
    manifest["required"] += ["outcome", "capabilities", "source"]
    manifest["properties"] |= {
        "outcome": _OUTCOME,
        "capabilities": _CAPABILITIES,
        "source": ref("Source"),
    }
    del found["FileRecord"]

    instances = _instances(documented, settings.max_records, {"const": False})
    return found | {
        "Record": record,
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
        "Problem": _PROBLEM,
        "NotReady": {
            "allOf": [ref("Problem")],
            "type": "object",
            "required": ["ready"],
            "properties": {"ready": {"const": False}},
        },
        "ProblemType": _problem_type(),
        "Error": object_(error={"type": "string", "description": "One sentence: what is wrong."}),
    }


def _instances(documented: DocumentedModel, limit: int, explain: Json) -> Json:
    interval = {} if documented.model.capabilities["interval"] else {"const": False}
    records = {"type": "array", "minItems": 1, "maxItems": limit, "items": ref("Record")}
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
            "version": {"type": "string", "description": "The version that answered."},
            "predictions": {
                "type": "array",
                "description": "Answer i belongs to record i.",
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
        "description": "Shapley values in log-odds: the base and the contributions sum to the "
        "log-odds of the answer. They describe the model, not causes.",
        "required": ["base", "log_odds", "contributions"],
        "properties": {
            "base": {"type": "number", "description": "Mean log-odds over a background sample."},
            "log_odds": {"type": "number", "description": "Of this answer."},
            "contributions": by_column,
            "standard_errors": by_column
            | {"description": "Where contributions are estimates; absent where they are exact."},
        },
    }


def _problem_type() -> Json:
    return {
        "type": "object",
        "description": "A kind of problem, and what to do about it.",
        "required": ["code", *ProblemType._fields],
        "properties": {
            "code": {"enum": list(PROBLEM_TYPES)},
            "status": {"type": "integer"},
            "title": {"type": "string"},
            "what_to_do": {"type": "string"},
        },
    }


_OUTCOME = {
    "type": "object",
    "description": "What the probability is of, and what it is not.",
    "required": ["rule", "positive", "negative", "meaning", "caution"],
    "additionalProperties": {"type": "string"},
}


_CAPABILITIES = {
    "type": "object",
    "description": "By what may be asked for beside instances, whether this version can give it.",
    "required": list(OPTIONS),
    "properties": {name: {"type": "boolean"} for name in OPTIONS},
}


_PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457), with one sentence under error for clients that "
    "read nothing else.",
    "required": ["error", "type", "title", "status", "detail", "instance"],
    "properties": {
        "error": {"type": "string", "description": "One sentence: what is wrong."},
        "type": {
            "enum": [f"/problems/{code}" for code in PROBLEM_TYPES],
            "description": "The kind; GET it to read what to do.",
        },
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {
            "type": "string",
            "description": "Names this request, as the log does.",
            "pattern": f"^/requests/{SAFE_ID.pattern}$",
        },
        "errors": {
            "type": "array",
            "description": "Every problem of every record.",
            "items": ref("RecordProblem"),
        },
    },
}
