"""The JSON bodies of MLflow's scoring server, and the JSON lines of SageMaker's batch transform."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from app.models import LoadedModel
from app.protocols.table_payload import (
    TablePayload,
    limit_columns,
    raise_if_problems,
    validate_rows,
    validate_table,
)
from model.errors import Problem, ProblemCode, UnreadableBody
from model.records import DUPLICATE_KEY_MESSAGE, duplicate_keys, parse_strict_json, printable

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def parse_json(body: bytes, model: LoadedModel) -> np.ndarray:
    """Validate a body that holds its records in one of MLflow's four ways.

    ``params`` may stand beside them; the model takes none, so that nothing in it counts.

    Returns:
        float32 (n, n_columns), missing as NaN.

    Raises:
        UnreadableBody: it is not JSON.
        InvalidRecords: everything that is wrong with it.
    """
    content = parse_strict_json(body)
    form = _detect_format(content, model)
    given = content[form]
    if form == "dataframe_split":
        return validate_table(_parse_split(given, model), model)
    if form == "inputs" and isinstance(given, Mapping):
        return validate_table(_parse_columns(given, model), model)
    if not isinstance(given, list):
        message = "must be a list of records"
        raise_if_problems(model, [Problem(code="not_records", message=message)], path=f"/{form}")
    return validate_rows(given, f"/{form}", model)


def parse_json_lines(body: bytes, model: LoadedModel) -> np.ndarray:
    """Validate a body of one JSON text a line; each is a row of :func:`validate_rows`.

    Returns:
        float32 (n, n_columns), missing as NaN.

    Raises:
        UnreadableBody: a line is not JSON.
        InvalidRecords: every problem of every line.
    """
    if not body.strip():
        raise UnreadableBody("empty_body", "the body is empty; send one record a line, as JSON")
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
    """Which of the four forms a body has."""
    listed = ", ".join(FORMS)
    problems = []
    found: list[str] = []
    if not isinstance(content, dict):
        problems.append(Problem(code="not_records", message=f"must be an object with {listed}"))
    else:
        found = [name for name in content if name in FORMS]
        if len(found) != 1:
            message = f"must hold exactly one of {listed}"
            problems.append(Problem(code="not_records", message=message))
        problems += _key_problems(content, (*FORMS, "params"), "is not a key of this protocol")
        if not isinstance(content.get("params", {}), dict | None):
            problems.append(Problem(field="params", code="wrong_type", message="must be an object"))
    raise_if_problems(model, problems)
    return found[0]


def _parse_split(given: Any, model: LoadedModel) -> TablePayload:
    """``{"columns": [names], "data": [rows]}``, as pandas writes it; ``index`` does not count."""
    path = "/dataframe_split"
    if not isinstance(given, dict):
        message = "must be an object with columns and data"
        raise_if_problems(model, [Problem(code="not_an_object", message=message)], path=path)
    problems = _key_problems(given, ("columns", "data", "index"), "is not a key of dataframe_split")
    for name in ("columns", "data"):
        if name not in given:
            problems.append(Problem(field=name, code="absent", message="is absent"))
        elif not isinstance(given[name], list):
            problems.append(Problem(field=name, code="wrong_type", message="must be a list"))
    raise_if_problems(model, problems, path=path)

    def locator(row: int | None, column: int | None) -> str:
        found = f"#{path}/columns" if row is None else f"#{path}/data/{row}"
        return found if column is None else f"{found}/{column}"

    return TablePayload(given["columns"], given["data"], locator)


def _parse_columns(given: Mapping[str, Any], model: LoadedModel) -> TablePayload:
    """``{"age": [63, 41], "sex": [1, 0]}``: one list a column, all of one length.

    A tensor of shape (n, 1) stands for n values.
    """
    path = "/inputs"
    names = list(given)
    limit_columns(names, model, path)
    problems = [
        Problem(field=printable(name), code="duplicate_key", message=DUPLICATE_KEY_MESSAGE)
        for name in duplicate_keys(given)
    ]
    length: int | None = None
    for name, values in given.items():
        code: ProblemCode | None = None
        message = ""
        if not isinstance(values, list):
            code, message = "wrong_type", "must be a list of values, one a record"
        elif length is not None and len(values) != length:
            code = "wrong_length"
            message = (
                f"must hold {length} values, as the columns before it, and holds {len(values)}"
            )
        else:
            length = len(values)
        if code:
            problems.append(Problem(field=printable(name), code=code, message=message))
    raise_if_problems(model, problems, path=path)

    def locator(row: int | None, column: int | None) -> str:
        found = f"#{path}" if column is None else f"#{path}/{_escape_pointer(names[column])}"
        return found if row is None or column is None else f"{found}/{row}"

    columns = [list(map(_scalar, values)) for values in given.values()]
    return TablePayload(names, [list(row) for row in zip(*columns, strict=True)], locator)


def _key_problems(content: Mapping[str, Any], known: Sequence[str], message: str) -> list[Problem]:
    """Keys that have no meaning here, and keys that stand twice."""
    others = [name for name in content if name not in known]
    return [
        *(Problem(field=printable(n), code="unknown_key", message=message) for n in others),
        *(
            Problem(field=printable(n), code="duplicate_key", message=DUPLICATE_KEY_MESSAGE)
            for n in duplicate_keys(content)
        ),
    ]


def _scalar(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _escape_pointer(name: str) -> str:
    return printable(name).replace("~", "~0").replace("/", "~1")
