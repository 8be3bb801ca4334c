"""Parsing of MLflow's JSON bodies and of the JSON Lines of SageMaker's batch transform."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from app.models import LoadedModel
from app.protocols.table_payload import (
    TablePayload,
    check_column_count,
    raise_for_problems,
    validate_rows,
    validate_table,
)
from model.errors import Problem, ProblemCode, UnreadableBody
from model.records import DUPLICATE_KEY_MESSAGE, duplicate_keys, parse_strict_json, printable

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def parse_json(body: bytes, model: LoadedModel) -> np.ndarray:
    """Validate a body in one of MLflow's four formats.

    ``params`` is accepted and ignored, because the model has no parameters.

    Returns:
        float64 (n, n_columns), missing as NaN.

    Raises:
        UnreadableBody: the body is not JSON.
        InvalidRecords: every problem of the body.
    """
    content = parse_strict_json(body)
    key = _detect_format(content, model)
    payload = content[key]
    if key == "dataframe_split":
        return validate_table(_parse_split(payload, model), model)
    if key == "inputs" and isinstance(payload, Mapping):
        return validate_table(_parse_columns(payload, model), model)
    if not isinstance(payload, list):
        message = "must be a list of records"
        raise_for_problems(model, [Problem(code="not_records", message=message)], path=f"/{key}")
    return validate_rows(payload, f"/{key}", model)


def parse_json_lines(body: bytes, model: LoadedModel) -> np.ndarray:
    """Validate a body with one JSON text per line, each a row as in :func:`validate_rows`.

    Returns:
        float64 (n, n_columns), missing as NaN.

    Raises:
        UnreadableBody: a line is not JSON.
        InvalidRecords: every problem of every line.
    """
    if not body.strip():
        raise UnreadableBody("empty_body", "the body is empty; send one record per line, as JSON")
    lines = itertools.islice(io.BytesIO(body.rstrip()), model.max_records + 1)
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(parse_strict_json(line))
        except UnreadableBody as error:
            code = "broken_json" if error.code == "empty_body" else error.code
            message = str(error).replace("the body", f"line {number}", 1)
            message = message.replace("(line 1, ", "(")
            raise UnreadableBody(code, message) from None
    return validate_rows(rows, "", model)


def _detect_format(content: Any, model: LoadedModel) -> str:
    """Return the one top-level key of a body that holds its records."""
    allowed = ", ".join(FORMATS)
    problems = []
    keys: list[str] = []
    if not isinstance(content, dict):
        problems.append(
            Problem(code="not_records", message=f"must be an object with one of {allowed}")
        )
    else:
        keys = [name for name in content if name in FORMATS]
        if len(keys) != 1:
            message = f"must hold exactly one of {allowed}"
            problems.append(Problem(code="not_records", message=message))
        problems += _key_problems(content, (*FORMATS, "params"), "is not a key of this protocol")
        if not isinstance(content.get("params", {}), dict | None):
            problems.append(Problem(field="params", code="wrong_type", message="must be an object"))
    raise_for_problems(model, problems)
    return keys[0]


def _parse_split(content: Any, model: LoadedModel) -> TablePayload:
    """Parse ``{"columns": [names], "data": [rows]}``, as pandas writes it; ignore ``index``."""
    path = "/dataframe_split"
    if not isinstance(content, dict):
        message = "must be an object with columns and data"
        raise_for_problems(model, [Problem(code="not_an_object", message=message)], path=path)
    problems = _key_problems(
        content, ("columns", "data", "index"), "is not a key of dataframe_split"
    )
    for name in ("columns", "data"):
        if name not in content:
            problems.append(Problem(field=name, code="absent", message="is absent"))
        elif not isinstance(content[name], list):
            problems.append(Problem(field=name, code="wrong_type", message="must be a list"))
    raise_for_problems(model, problems, path=path)

    def locator(row: int | None, column: int | None) -> str:
        pointer = f"#{path}/columns" if row is None else f"#{path}/data/{row}"
        return pointer if column is None else f"{pointer}/{column}"

    return TablePayload(content["columns"], content["data"], locator)


def _parse_columns(content: Mapping[str, Any], model: LoadedModel) -> TablePayload:
    """Parse ``{"age": [63, 41], "sex": [1, 0]}``: one list per column, all of equal length.

    A list of shape (n, 1) is read as n values.
    """
    path = "/inputs"
    names = list(content)
    check_column_count(names, model, path)
    problems = [
        Problem(field=printable(name), code="duplicate_key", message=DUPLICATE_KEY_MESSAGE)
        for name in duplicate_keys(content)
    ]
    length: int | None = None
    for name, values in content.items():
        code: ProblemCode | None = None
        message = ""
        if not isinstance(values, list):
            code, message = "wrong_type", "must be a list of values, one per record"
        elif length is not None and len(values) != length:
            code = "wrong_length"
            message = (
                f"must hold {length} values, as the first column does, but holds {len(values)}"
            )
        else:
            length = len(values)
        if code:
            problems.append(Problem(field=printable(name), code=code, message=message))
    raise_for_problems(model, problems, path=path)

    def locator(row: int | None, column: int | None) -> str:
        pointer = f"#{path}" if column is None else f"#{path}/{_escape_pointer(names[column])}"
        return pointer if row is None or column is None else f"{pointer}/{row}"

    columns = [list(map(_scalar, values)) for values in content.values()]
    return TablePayload(names, [list(row) for row in zip(*columns, strict=True)], locator)


def _key_problems(
    content: Mapping[str, Any], allowed: Sequence[str], message: str
) -> list[Problem]:
    """Return a problem for each unknown key and for each duplicate key."""
    unknown = [name for name in content if name not in allowed]
    return [
        *(Problem(field=printable(n), code="unknown_key", message=message) for n in unknown),
        *(
            Problem(field=printable(n), code="duplicate_key", message=DUPLICATE_KEY_MESSAGE)
            for n in duplicate_keys(content)
        ),
    ]


def _scalar(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _escape_pointer(name: str) -> str:
    return printable(name).replace("~", "~0").replace("/", "~1")
