"""What descriptions refer to; most schemas derive from the types that answers are made of."""

from __future__ import annotations

from app.about import NOT_SHOWN
from app.call import SAFE_ID
from app.openapi.derived import derived
from app.openapi.operations import Json, Subject, an_object, optionally, ref
from app.problems import KINDS, Kind
from app.record_schema import record_schema
from model.errors import Problem
from model.faultless import OPTIONS
from model.intervals import Interval
from model.manifest import Manifest
from model.origins import Source
from model.scoring import Prediction


def components() -> Json:
    """The Components Object without schemas."""
    return {
        "headers": {
            "RequestId": {
                "description": "The request's own X-Request-ID where it is 1 to 64 safe "
                "characters, otherwise a new one; the log names the request by it.",
                "required": True,
                "schema": {"type": "string", "pattern": f"^{SAFE_ID.pattern}$"},
            },
            "Challenge": {
                "description": "How to send a key.",
                "required": True,
                "schema": {"const": "Bearer"},
            },
        },
        "parameters": {
            "RequestId": {
                "name": "X-Request-ID",
                "in": "header",
                "description": "A name for the request. It is taken over where it is 1 to 64 of "
                "the characters A-Z a-z 0-9 . _ : / + = @ -, and replaced otherwise.",
                "schema": {"type": "string"},
                "example": "ward-7:2026-11-20:0042",
            },
        },
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key, as Authorization: Bearer KEY.",
            },
            "apiKey": {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "An API key, as X-API-Key: KEY.",
            },
        },
    }


def own_schemas(subject: Subject) -> Json:
    """The schemas of our own bodies, and what others share with them."""
    schema, settings = subject.schema, subject.settings
    record = {k: v for k, v in record_schema(schema).items() if k != "$schema"}
    found = derived(Problem, Prediction, Interval, Manifest, Source)
    names = list(schema.column_names)
    outcome = schema.outcome

    prediction = found["Prediction"]["properties"]
    prediction["probability"] |= {"minimum": 0, "maximum": 1}
    prediction["label"] |= {"enum": [outcome.negative, outcome.positive]}
    prediction["threshold"] |= {"const": subject.model.manifest.threshold}
    prediction["missing"]["items"] = {"enum": names}
    found["Caution"]["properties"]["field"] |= {"enum": names}
    if subject.model.offers["interval"]:
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
    for name in NOT_SHOWN:
        del manifest["properties"][name]
    manifest["required"] = [n for n in manifest["required"] if n not in NOT_SHOWN]
    manifest["required"] += ["outcome", "offers", "source"]
    manifest["properties"] |= {"outcome": _OUTCOME, "offers": _OFFERS, "source": ref("Source")}
    del found["FileRecord"]

    instances = _instances(subject, settings.max_records, {"const": False})
    return found | {
        "Record": record,
        "Instances": instances,
        "InstancesToExplain": _instances(subject, settings.max_explained, {}),
        "HostInstances": optionally(instances, parameters={}),
        "Answer": _answer(subject, ref("Prediction")),
        "ExplainedAnswer": _answer(
            subject,
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
        "Kind": _kind(),
        "Error": an_object(error={"type": "string", "description": "One sentence: what is wrong."}),
    }


def _instances(subject: Subject, limit: int, explain: Json) -> Json:
    interval = {} if subject.model.offers["interval"] else {"const": False}
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


def _answer(subject: Subject, prediction: Json) -> Json:
    return {
        "type": "object",
        "required": ["model", "version", "predictions"],
        "properties": {
            "model": {"type": "string", "const": subject.model.name},
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


def _kind() -> Json:
    return {
        "type": "object",
        "description": "A kind of problem, and what to do about it.",
        "required": ["code", *Kind._fields],
        "properties": {
            "code": {"enum": list(KINDS)},
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
_OFFERS = {
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
            "enum": [f"/problems/{code}" for code in KINDS],
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
