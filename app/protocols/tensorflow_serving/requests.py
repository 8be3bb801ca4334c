"""Parsing of TensorFlow Serving's request bodies: rows, columns or examples.

The inputs of the signature are the schema's columns. Each is a tensor of shape (n,) or (n, 1), so a
value is either a scalar or a list of one element. A client that writes tensors has no null.
Therefore NaN means missing, as null does.

Error messages are those of TensorFlow Serving where it has one, but never quote a value. The
messages for single values are written in :mod:`app.protocols.tensorflow_serving.errors`.
"""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from app.protocols.table_payload import raise_for_duplicate_keys
from app.protocols.tensorflow_serving.metadata import SIGNATURE
from model.errors import InvalidRecords, Problem, ProblemCode, UnreadableBody
from model.records import DUPLICATE_KEY_MESSAGE, duplicate_keys, parse_strict_json, printable

_MULTIPLE_INPUTS = "multiple input tensors required as per tensorinfo_map"
_KNOWN_KEYS = ("signature_name", "instances", "inputs", "context", "examples")


class ParsedRecords(NamedTuple):
    """The records of a body, not yet validated.

    Attributes:
        records: one item per record. A valid item is a mapping from column name to value.
        path: the JSON pointer of the records: ``/instances``, ``/inputs`` or ``/examples``.
        shared: the columns whose values in ``context`` apply to all records.
    """

    records: Sequence[Any]
    path: str
    shared: Collection[str] = ()


def read_tensors(
    body: bytes, columns: Sequence[str], signatures: Collection[str], max_records: int
) -> ParsedRecords:
    """Parse the body of a predict request, in the row or the columnar format.

    Unknown top-level keys are ignored, as in TensorFlow Serving. So are inputs of the columnar
    format that are not columns.

    Args:
        columns: the columns of the schema, which are the signature's inputs.
        signatures: the allowed names of the signature in addition to ``serving_default``.
        max_records: the maximum number of records in a request. If there are more, they are
            returned unchanged, and the validation rejects them by their number.

    Raises:
        UnreadableBody: the body is not JSON.
        InvalidRecords: the body holds no records in either format, or records in both.
    """
    content = _parse_body(body, signatures)
    if "instances" in content and "inputs" in content:
        raise _body_error(
            "unknown_key",
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist",
        )
    if "instances" in content:
        return ParsedRecords(_from_rows(content["instances"], columns), "/instances")
    if "inputs" in content:
        return ParsedRecords(_from_columns(content["inputs"], columns, max_records), "/inputs")
    raise _body_error("not_records", "Missing 'inputs' or 'instances' key")


def read_examples(
    body: bytes, columns: Sequence[str], signatures: Collection[str], max_records: int
) -> ParsedRecords:
    """Parse the body of a classify or regress request, adding ``context`` to each example.

    Features that are not columns are ignored, as in TensorFlow Serving's parser of examples.

    Args:
        columns, signatures, max_records: see :func:`read_tensors`.

    Raises:
        UnreadableBody: the body is not JSON.
        InvalidRecords: the body holds no examples, or an example repeats a feature of ``context``.
    """
    content = _parse_body(body, signatures)
    if "examples" not in content:
        raise _body_error("not_records", "key 'examples' is expected and was not found")
    examples, context = content["examples"], content.get("context", {})
    if not isinstance(examples, list):
        raise _body_error(
            "not_records", "Expecting 'examples' value to be an list/array", "/examples"
        )
    if not examples:
        raise _body_error("no_records", "'examples' value is an empty array", "/examples")
    if not isinstance(context, dict):
        raise _body_error(
            "not_an_object", "Example must be JSON object: 'context' is none", "/context"
        )
    _check_duplicate_keys(context, context, "/context")
    if len(examples) > max_records:
        return ParsedRecords(examples, "/examples")
    _check_context_overlap(examples, context)
    shared = {name: _scalar(context[name]) for name in columns if name in context}
    for example in examples:
        if isinstance(example, dict):
            # Changed in place: the objects of parse_strict_json() carry their duplicate keys.
            for name in [name for name in example if name not in columns]:
                del example[name]
            _unwrap(example)
            example.update(shared)
    return ParsedRecords(examples, "/examples", shared)


def _parse_body(body: bytes, signatures: Collection[str]) -> dict[str, Any]:
    """Return the JSON object of a body. Its signature name has been checked."""
    try:
        content = parse_strict_json(body)
    except UnreadableBody as error:
        reason = "The document is empty" if error.code == "empty_body" else str(error)
        raise UnreadableBody(error.code, f"JSON Parse error: {reason}") from None
    if not isinstance(content, dict):
        raise _body_error("not_an_object", "JSON Value: Is not object")
    _check_duplicate_keys(content, _KNOWN_KEYS, "")
    name = content.get("signature_name", "")
    if not isinstance(name, str):
        raise _body_error(
            "wrong_type",
            "JSON Value: not formatted correctly. 'signature_name' key must be a string value.",
            field="signature_name",
        )
    if name not in ("", SIGNATURE, *signatures):
        raise _body_error(
            "not_allowed",
            f'Serving signature name: "{printable(name)}" not found in signature def',
            field="signature_name",
        )
    return content


def _from_rows(instances: Any, columns: Sequence[str]) -> Sequence[Any]:
    if not isinstance(instances, list):
        raise _body_error("not_records", "Expecting 'instances' to be an list/array", "/instances")
    if not instances:
        raise _body_error("no_records", "No values in 'instances' array", "/instances")
    if len(columns) == 1 and not _is_mapping(instances[0]):
        return [{columns[0]: _scalar(value)} for value in instances]
    for record in instances:
        if isinstance(record, dict):
            _unwrap(record)
    return instances


def _from_columns(inputs: Any, columns: Sequence[str], max_records: int) -> Sequence[Any]:
    """Return the records of the columnar format, which holds one list per column."""
    if not _is_mapping(inputs):
        if len(columns) > 1:
            raise _body_error(
                "not_an_object",
                f"inputs is a plain value/list, but expecting an object as {_MULTIPLE_INPUTS}",
                "/inputs",
            )
        inputs = {columns[0]: inputs}
    _check_duplicate_keys(inputs, columns, "/inputs")
    problems = []
    for name in columns:
        if name not in inputs:
            message = f"Missing named input: {name} in 'inputs' object."
            problems.append(Problem(field=name, code="absent", message=message))
        elif not isinstance(inputs[name], list):
            message = f"Named input: {name} in 'inputs' object must be a list, one value per record"
            problems.append(Problem(field=name, code="wrong_type", message=message))
    if not problems:
        ((n_records, _),) = Counter(len(inputs[name]) for name in columns).most_common(1)
        for name in columns:
            if len(inputs[name]) != n_records:
                message = f"Expecting tensor size: {n_records} but got: {len(inputs[name])}"
                message += f" for named input: {name}"
                problems.append(Problem(field=name, code="wrong_length", message=message))
    if problems:
        raise InvalidRecords(problems, n_records=0, path="/inputs")
    if not n_records:
        raise _body_error("no_records", "No values in 'inputs' object", "/inputs")
    if n_records > max_records:
        values: list[Any] = inputs[columns[0]]
        return values  # rejected by their number, so one column is enough
    rows = zip(*(map(_scalar, inputs[name]) for name in columns), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _scalar(value: Any) -> Any:
    """Return the value of a scalar, of a list of one element or of a base64 object.

    NaN becomes None. Other values are returned unchanged.

    >>> _scalar([63]), _scalar({"b64": "Zml4ZWQ="}), _scalar(float("nan")), _scalar([1, 2])
    (63, 'fixed', None, [1, 2])
    """
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict) and not _is_mapping(value):
        try:
            return base64.b64decode(value["b64"], validate=True).decode("utf-8")
        except ValueError:  # not base64 or not UTF-8: the validation rejects the object
            return value
    return value


def _unwrap(record: dict[str, Any]) -> None:
    for name, value in record.items():
        record[name] = _scalar(value)


def _is_mapping(value: Any) -> bool:
    """Return whether a value is an object and not a string in base64, ``{"b64": "…"}``."""
    if not isinstance(value, dict):
        return False
    return list(value) != ["b64"] or not isinstance(value["b64"], str)


def _check_duplicate_keys(content: dict[str, Any], names: Collection[str], path: str) -> None:
    duplicates = ((None, name) for name in duplicate_keys(content) if name in names)
    raise_for_duplicate_keys(
        duplicates, f"key: {{name}} {DUPLICATE_KEY_MESSAGE}", n_records=0, path=path
    )


def _check_context_overlap(examples: Sequence[Any], context: dict[str, Any]) -> None:
    overlaps = (
        (row, name)
        for row, example in enumerate(examples)
        if isinstance(example, dict)
        for name in example
        if name in context
    )
    message = "is also in 'context'; give it in only one of the two"
    raise_for_duplicate_keys(overlaps, message, n_records=len(examples), path="/examples")


def _body_error(
    code: ProblemCode, message: str, path: str = "", *, field: str | None = None
) -> InvalidRecords:
    return InvalidRecords(
        [Problem(field=field, code=code, message=message)], n_records=0, path=path
    )
