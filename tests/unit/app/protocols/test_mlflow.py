"""Requests of MLflow's, SageMaker's and Vertex AI's clients, in every format."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import logging
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from app import Settings, create_app
from app.api_keys import new_entry
from app.protocols.mlflow.csv_requests import NUMBER
from model.artifacts import Store
from tests.conftest import n_examples, time_limit

Records = list[dict[str, Any]]
MARKED = "MARKED8151815"


@pytest.fixture
def records(record: dict[str, Any]) -> Records:
    """Return valid records: aliases, missing values, values outside the training range."""
    return [
        record,
        {**record, "thal": "fixed", "sex": "male", "cp": 1},
        {**record, "ca": None, "chol": None, "slope": None},
        {**record, "age": 90, "oldpeak": 2.3, "restecg": "st-t abnormality"},
    ]


def rows_of(records: Records) -> list[list[Any]]:
    return [list(record.values()) for record in records]


def csv_of(records: Records, *, header: bool, **options: Any) -> str:
    text = io.StringIO()
    writer = csv.writer(text, **options)
    if header:
        writer.writerow(records[0])
    writer.writerows(["" if v is None else v for v in record.values()] for record in records)
    return text.getvalue()


def columns_of(records: Records, wrap: bool = False) -> dict[str, list[Any]]:
    return {n: [[r[n]] if wrap else r[n] for r in records] for n in records[0]}


def split_of(records: Records) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(records[0]), "data": rows_of(records)}}


def reordered(records: Records) -> Records:
    return [dict(reversed(record.items())) for record in records]


def with_nan(records: Records) -> Records:
    return [{n: math.nan if v is None else v for n, v in r.items()} for r in records]


def with_blanks(records: Records) -> Records:
    return [{n: "" if v is None else v for n, v in r.items()} for r in records]


def json_forms(records: Records) -> Iterator[tuple[str, Any]]:
    yield "dataframe_split", split_of(records)
    yield "dataframe_split in another order", split_of(reordered(records))
    yield "dataframe_split with NaN", split_of(with_nan(records))
    yield "dataframe_records", {"dataframe_records": records}
    yield "dataframe_records with NaN", {"dataframe_records": with_nan(records)}
    yield "dataframe_records with blanks", {"dataframe_records": with_blanks(records)}
    yield "instances", {"instances": records}
    yield "instances of rows", {"instances": rows_of(records)}
    yield "instances of features", {"instances": [{"features": row} for row in rows_of(records)]}
    yield "inputs by column", {"inputs": columns_of(reordered(records))}
    yield "inputs by column, of shape (n, 1)", {"inputs": columns_of(records, wrap=True)}
    yield "inputs with NaN", {"inputs": columns_of(with_nan(records))}
    yield "inputs, a matrix", {"inputs": rows_of(with_nan(records))}
    yield "with params", {"instances": records, "params": {"temperature": 0.1}}
    yield "with params of null", {"instances": records, "params": None}
    index = {"index": list(range(len(records)))}
    yield "with an index", {"dataframe_split": {**split_of(records)["dataframe_split"], **index}}


def csv_forms(records: Records) -> Iterator[tuple[str, str, str | bytes]]:
    yield "with a header", "text/csv", csv_of(records, header=True)
    yield "in another order", "text/csv", csv_of(reordered(records), header=True)
    yield "without a header", "text/csv", csv_of(records, header=False)
    yield "header=present", "text/csv; header=present", csv_of(records, header=True)
    yield "header=absent", 'Text/CSV; Header="absent"; Charset=UTF-8', csv_of(records, header=False)
    quoted = csv_of(records, header=True, quoting=csv.QUOTE_ALL, lineterminator="\n")
    yield "quoted", "text/csv;charset=utf-8", quoted
    yield "from a Mac", "text/csv", csv_of(records, header=True, lineterminator="\r")
    yield "from Excel", "text/csv", "\ufeff".encode() + csv_of(records, header=True).encode()
    yield "with blank lines at the end", "text/csv", csv_of(records, header=True) + "\r\n\n"
    with_nan = csv_of(
        [{n: "nan" if v is None else v for n, v in r.items()} for r in records], header=False
    )
    yield "from NumPy", "text/csv", with_nan
    lines = "\n".join(json.dumps(record) for record in records)
    yield "JSON lines", "application/jsonlines", lines + "\n"
    lines = "\r\n".join(json.dumps({"features": row}) for row in rows_of(records))
    yield "JSON lines of features", "application/jsonlines; charset=utf-8", lines


def invoke(
    client: FlaskClient, content: Any, media_type: str = "application/json", **headers: str
) -> TestResponse:
    body = content if isinstance(content, str | bytes) else json.dumps(content)
    all_headers = {"Content-Type": media_type, **headers}
    return client.post("/invocations", data=body, headers=all_headers)


def check(response: TestResponse, status: int, kind: str) -> dict[str, Any]:
    """Check that an error has MLflow's members, the problem details and no traceback."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/json"
    content = response.get_json()
    expected = {
        400: "BAD_REQUEST",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        415: "BAD_REQUEST",
        413: "BAD_REQUEST",
        503: "TEMPORARILY_UNAVAILABLE",
    }
    assert content["error_code"] == expected[status]
    assert content["message"] == content["error"]
    assert content["status"] == status and content["type"] == f"/problems/{kind}"
    assert "stack_trace" not in content and ".py" not in response.text
    return content


def errors(response: TestResponse) -> list[tuple[Any, ...]]:
    content = check(response, 400, "invalid_records")
    return [(e.get("row"), e.get("field"), e["code"], e["pointer"]) for e in content["errors"]]


def numbers(text: str) -> list[str]:
    """Return the probabilities as text."""
    start = text.index("[") + 1
    return text[start : text.index("]", start)].split(",")


def test_every_format_gives_the_probabilities_of_predict(
    client: FlaskClient, records: Records
) -> None:
    direct = client.post("/predict", json=records)
    expected = [json.dumps(p["probability"]) for p in direct.get_json()["predictions"]]
    assert len(set(expected)) == len(records), "so that a wrong order is noticed"
    for name, content in json_forms(records):
        response = invoke(client, content)
        assert response.status_code == 200, (name, response.text)
        assert response.mimetype == "application/json"
        assert numbers(response.text) == expected, name
    for name, media_type, body in csv_forms(records):
        response = invoke(client, body, media_type, Accept="text/csv")
        assert response.status_code == 200, (name, response.text)
        assert response.text.splitlines() == expected, name


def test_notes_list_missing_values_and_warnings(client: FlaskClient, records: Records) -> None:
    predictions = client.post("/predict", json=records).get_json()["predictions"]
    content = invoke(client, {"instances": records}).get_json()
    assert list(content) == ["predictions", "notes"]
    for note in content["notes"]:
        prediction = predictions[note["row"]]
        assert (note["missing"], note["warnings"]) == (
            prediction["missing"],
            prediction["warnings"],
        )
    assert [note["row"] for note in content["notes"]] == [2, 3]
    assert list(invoke(client, {"instances": records[:1]}).get_json()) == ["predictions"]


@pytest.mark.parametrize(
    ("media_type", "accept", "expected"),
    [
        ("text/csv", "", "application/json"),
        ("text/csv", "*/*", "application/json"),
        ("text/csv", "text/csv", "text/csv"),
        ("text/csv", "text/csv; charset=utf-8", "text/csv"),
        ("application/json", "text/csv;q=0.5, application/jsonlines", "application/jsonlines"),
        ("application/json", "application/x-npy", "application/json"),
        ("application/jsonlines", "", "application/jsonlines"),
        ("application/jsonlines", "application/json", "application/json"),
    ],
)
def test_the_response_format_follows_accept(
    client: FlaskClient, records: Records, media_type: str, accept: str, expected: str
) -> None:
    body = {
        "text/csv": csv_of(records, header=True),
        "application/json": json.dumps({"instances": records}),
        "application/jsonlines": "\n".join(map(json.dumps, records)),
    }[media_type]
    response = invoke(client, body, media_type, Accept=accept)
    assert response.status_code == 200 and response.mimetype == expected
    if expected == "application/json":
        assert len(response.get_json()["predictions"]) == len(records)
    else:
        assert len(response.text.splitlines()) == len(records) and response.text[-1] == "\n"


def test_problems_have_a_pointer_in_every_format(
    client: FlaskClient, record: dict[str, Any]
) -> None:
    """Row 1 has a wrong level; its row and column are the same in every format."""
    bad = [record, {**record, "thal": "fixd", "a": 1}, record]
    del bad[1]["a"]
    last = len(record) - 1
    for content, pointer in (
        (split_of(bad), f"#/dataframe_split/data/1/{last}"),
        ({"dataframe_records": bad}, "#/dataframe_records/1/thal"),
        ({"instances": bad}, "#/instances/1/thal"),
        ({"instances": rows_of(bad)}, f"#/instances/1/{last}"),
        ({"instances": [{"features": r} for r in rows_of(bad)]}, f"#/instances/1/features/{last}"),
        ({"inputs": columns_of(bad)}, "#/inputs/thal/1"),
        ({"inputs": rows_of(bad)}, f"#/inputs/1/{last}"),
    ):
        response = invoke(client, content)
        assert errors(response) == [(1, "thal", "not_allowed", pointer)]
        assert response.get_json()["errors"][0]["did_you_mean"] == "fixed"
    for header, line in ((True, 3), (False, 2)):
        response = invoke(client, csv_of(bad, header=header), "text/csv")
        assert errors(response) == [(1, "thal", "not_allowed", f"#cell={line},{last + 1}")]
    lines = "\n".join(map(json.dumps, bad))
    response = invoke(client, lines, "application/jsonlines")
    assert errors(response) == [(1, "thal", "not_allowed", "#/1/thal")]


def test_a_wrong_header_is_reported_once(client: FlaskClient, record: dict[str, Any]) -> None:
    wrong = {("thall" if n == "thal" else n): v for n, v in record.items()}
    wrong["num"] = 0
    bad = [wrong] * 50
    n = len(record)
    expected = [
        (None, "thall", "unknown_column"),
        (None, "num", "unknown_column"),
        (None, "thal", "absent"),
    ]
    for response, pointers in (
        (
            invoke(client, split_of(bad)),
            [
                f"#/dataframe_split/columns/{n - 1}",
                f"#/dataframe_split/columns/{n}",
                "#/dataframe_split/columns",
            ],
        ),
        (
            invoke(client, {"inputs": columns_of(bad)}),
            ["#/inputs/thall", "#/inputs/num", "#/inputs"],
        ),
        (
            invoke(client, csv_of(bad, header=True), "text/csv"),
            [f"#cell=1,{n}", f"#cell=1,{n + 1}", "#row=1"],
        ),
    ):
        problems = errors(response)
        assert [entry[:3] for entry in problems] == expected
        assert [entry[3] for entry in problems] == pointers
        assert response.get_json()["errors"][0]["did_you_mean"] == "thal"


def test_invalid_column_names(client: FlaskClient, record: dict[str, Any]) -> None:
    names, row = list(record), list(record.values())
    for columns, expected in (
        ([*names, "age"], ["duplicate_key"]),
        ([3, *names[1:]], ["wrong_type", "absent"]),
        ([[MARKED], *names[1:]], ["wrong_type", "absent"]),
        (names * 20, ["wrong_length"]),
    ):
        response = invoke(client, {"dataframe_split": {"columns": columns, "data": [row]}})
        assert [code for _, _, code, _ in errors(response)] == expected
        assert MARKED not in response.text


def test_rows_of_the_wrong_length(client: FlaskClient, record: dict[str, Any]) -> None:
    row = list(record.values())
    names = list(record)
    rows = [row, row[:-1], [*row, 1], 3]
    split = {"dataframe_split": {"columns": names, "data": rows}}
    expected = [(1, None, "wrong_length"), (2, None, "wrong_length"), (3, None, "wrong_type")]
    assert errors(invoke(client, split)) == [
        (*entry, f"#/dataframe_split/data/{entry[0]}") for entry in expected
    ]
    assert errors(invoke(client, {"inputs": rows[:3]})) == [
        (*entry, f"#/inputs/{entry[0]}") for entry in expected[:2]
    ]
    features = {"instances": [{"features": values} for values in rows]}
    assert errors(invoke(client, features)) == [
        (*entry, f"#/instances/{entry[0]}/features") for entry in expected
    ]
    lines = csv_of([record], header=False)
    body = f"{lines}1,2\r\n\r\n{lines}"
    assert errors(invoke(client, body, "text/csv")) == [
        (1, None, "wrong_length", "#row=2"),
        (2, None, "wrong_length", "#row=3"),
    ]
    ragged = {"inputs": {**columns_of([record, record]), "thal": [3]}}
    assert errors(invoke(client, ragged)) == [(None, "thal", "wrong_length", "#/inputs/thal")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (3, [(None, "not_records", "#")]),
        ({}, [(None, "not_records", "#")]),
        (
            {"input": [], "messages": []},
            [
                (None, "not_records", "#"),
                ("input", "unknown_key", "#/input"),
                ("messages", "unknown_key", "#/messages"),
            ],
        ),
        ({"instances": [], "inputs": []}, [(None, "not_records", "#")]),
        ({"instances": []}, [(None, "no_records", "#/instances")]),
        (
            {"inputs": {}},
            [
                (name, "absent", "#/inputs")
                for name in [
                    "age",
                    "sex",
                    "cp",
                    "trestbps",
                    "chol",
                    "fbs",
                    "restecg",
                    "thalach",
                    "exang",
                    "oldpeak",
                    "slope",
                    "ca",
                    "thal",
                ]
            ],
        ),
        ({"inputs": {"age": 3}}, [("age", "wrong_type", "#/inputs/age")]),
        ({"instances": {}}, [(None, "not_records", "#/instances")]),
        ({"instances": [], "params": 3}, [("params", "wrong_type", "#/params")]),
        ({"dataframe_split": []}, [(None, "not_an_object", "#/dataframe_split")]),
        (
            {"dataframe_split": {"data": 3, "a/b": 1}},
            [
                ("a/b", "unknown_key", "#/dataframe_split/a~1b"),
                ("columns", "absent", "#/dataframe_split/columns"),
                ("data", "wrong_type", "#/dataframe_split/data"),
            ],
        ),
        ('{"instances": [], "instances": []}', [("instances", "duplicate_key", "#/instances")]),
    ],
)
def test_bodies_with_a_wrong_structure(
    client: FlaskClient, content: Any, expected: list[tuple[Any, ...]]
) -> None:
    assert [entry[1:] for entry in errors(invoke(client, content))] == expected


@pytest.mark.parametrize(
    ("body", "media_type", "kind", "message"),
    [
        ("", "application/json", "empty_body", "empty"),
        ("{", "application/json", "broken_json", "line 1, column 2"),
        ("[" * 50, "application/json", "too_deep", "32"),
        (b"\xff", "application/json", "not_utf8", "byte 0"),
        (" \r\n", "text/csv", "empty_body", "empty"),
        (b"age,\xff", "text/csv", "not_utf8", "byte 4"),
        ('age,"sex\n1,2', "text/csv", "broken_csv", "line 2"),
        ('age,"sex"x\n1,2', "text/csv", "broken_csv", "line 1"),
        ("1," + "2" * 200_000, "text/csv", "broken_csv", "line 1"),
        ("", "application/jsonlines", "empty_body", "empty"),
        ("{}\n{", "application/jsonlines", "broken_json", "line 2 is not JSON"),
        ("{}\n\n{}", "application/jsonlines", "broken_json", "line 2 is empty"),
    ],
)
def test_bodies_that_cannot_be_read(
    client: FlaskClient, body: str | bytes, media_type: str, kind: str, message: str
) -> None:
    content = check(invoke(client, body, media_type), 400, kind)
    assert message in content["message"]


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/plain",
        "application/x-npy",
        "application/json; charset=latin-1",
        "text/csv; charset=utf-16",
        "text/csv; header=perhaps",
        "text/csv; label_size=1",
        "application/json; header=present",
        "application/json; format=pandas-split",
    ],
)
def test_other_media_types_are_rejected(
    client: FlaskClient, records: Records, media_type: str
) -> None:
    content = check(
        invoke(client, csv_of(records, header=True), media_type), 415, "unsupported_media_type"
    )
    if "json" not in media_type and "csv" not in media_type:
        for supported in ("application/json", "text/csv", "application/jsonlines"):
            assert supported in content["message"]


def test_invalid_csv_cells(client: FlaskClient, record: dict[str, Any]) -> None:
    for name, cell, code in (
        ("age", "x", "wrong_type"),
        ("age", "", "null_not_allowed"),
        ("age", "121", "out_of_range"),
        ("age", "1_0", "wrong_type"),
        ("age", "0x10", "wrong_type"),
        ("age", "1e400", "not_finite"),
        ("age", "inf", "wrong_type"),
        ("age", "?", "wrong_type"),
        ("age", "٦٣", "wrong_type"),
        ("sex", "nan", "null_not_allowed"),
        ("sex", "true", "not_allowed"),
        ("cp", "9", "not_allowed"),
    ):
        response = invoke(client, csv_of([{**record, name: cell}], header=True), "text/csv")
        assert [entry[1:3] for entry in errors(response)] == [(name, code)], cell
    for name, cell in (("age", " 6.3e1 "), ("age", "+63"), ("age", "63."), ("thal", " FIXED ")):
        response = invoke(client, csv_of([{**record, name: cell}], header=True), "text/csv")
        assert response.status_code == 200, response.text


def test_the_number_pattern_is_equivalent_to_a_readable_one() -> None:
    readable = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
    for length in range(8):
        for characters in itertools.product("07.e-x", repeat=length):
            text = "".join(characters)
            assert bool(NUMBER.fullmatch(text)) == bool(readable.fullmatch(text)), text


def test_a_long_cell_of_digits_takes_linear_time(
    client: FlaskClient, record: dict[str, Any]
) -> None:
    """The csv module reads cells of up to 131,072 characters."""
    long = "1" * 130_000
    with time_limit(10):
        for text in (long, f"{long}x", f"{long}.", f"{long}e", f"1.{long}e+"):
            assert bool(NUMBER.fullmatch(text)) == (text in (long, f"{long}."))
            response = invoke(client, csv_of([{**record, "age": text}], header=True), "text/csv")
            assert errors(response) == [(0, "age", "wrong_type", "#cell=2,1")]


def test_a_cell_too_long_for_a_number_is_text(client: FlaskClient, record: dict[str, Any]) -> None:
    for length, status in ((64, 200), (65, 400)):
        age = "63.".ljust(length, "0")
        response = invoke(client, csv_of([{**record, "age": age}], header=True), "text/csv")
        assert response.status_code == status, response.text


def test_a_run_of_spaces_in_accept_takes_linear_time(client: FlaskClient, records: Records) -> None:
    """A worker joins headers of the same name, so the value can exceed the limit of a header."""
    accept = f"text/csv{' ' * 400_000}x"
    with time_limit(10):
        assert client.get("/", headers={"Accept": accept}).status_code == 200
        response = client.post(
            "/invocations", json={"instances": records}, headers={"Accept": accept}
        )
        assert response.status_code == 200, response.text


def test_strings_are_numbers_in_csv_only(client: FlaskClient, record: dict[str, Any]) -> None:
    response = invoke(client, split_of([{**record, "age": "63"}]))
    assert errors(response) == [(0, "age", "wrong_type", "#/dataframe_split/data/0/0")]


def test_the_header_parameter_decides_about_the_first_line(
    client: FlaskClient, record: dict[str, Any]
) -> None:
    body = csv_of([record], header=True)
    problems = errors(invoke(client, body, "text/csv; header=absent"))
    assert (0, "age", "wrong_type", "#cell=1,1") in problems
    body = csv_of([record, record], header=False)
    problems = errors(invoke(client, body, "text/csv; header=present"))
    assert problems[0][2] == "unknown_column" and problems[0][3] == "#cell=1,1"


def test_more_records_than_the_limit(trained: Store, record: dict[str, Any]) -> None:
    client = create_app(Settings(model_store=trained.folder, max_records=2)).test_client()
    many = [record] * 3
    for content, media_type in (
        *((content, "application/json") for _, content in json_forms(many)),
        (csv_of(many, header=True), "text/csv"),
        (csv_of(many, header=False), "text/csv"),
        ("{}\n" * 3, "application/jsonlines"),
        ("\n".join(["[]"] * 100), "application/jsonlines"),
    ):
        assert errors(invoke(client, content, media_type))[0][2] == "too_many_records"
    for header in (True, False):
        assert invoke(client, csv_of([record] * 2, header=header), "text/csv").status_code == 200


def test_gzip_with_several_members_is_read_completely(
    client: FlaskClient, record: dict[str, Any]
) -> None:
    """`cat a.gz b.gz`, bgzip and some loggers write them. Prediction i is for record i."""
    many = [{**record, "age": 40 + row} for row in range(8)]
    text = csv_of(many, header=True).encode()
    expected = invoke(client, text, "text/csv").get_json()["predictions"]
    assert len(set(expected)) == 8
    third = text.index(b"43,")
    for end in (third, third + 10, 0, len(text)):
        compressed = gzip.compress(text[:end]) + gzip.compress(text[end:])
        response = invoke(client, compressed, "text/csv", **{"Content-Encoding": "gzip"})
        assert response.get_json()["predictions"] == expected
    response = invoke(client, compressed + b"junk", "text/csv", **{"Content-Encoding": "gzip"})
    check(response, 400, "bad_request")


def test_a_body_over_the_limit(trained: Store, record: dict[str, Any]) -> None:
    client = create_app(Settings(model_store=trained.folder, max_body_bytes=500)).test_client()
    check(invoke(client, {"instances": [record] * 5}), 413, "body_too_large")


def test_records_rejected_by_a_protocol_are_counted(trained: Store, record: dict[str, Any]) -> None:
    client = create_app(Settings(model_store=trained.folder)).test_client()
    del record["thal"]
    invoke(client, csv_of([record] * 9, header=True), "text/csv")
    text = client.get("/metrics").text
    assert 'tabular_rejected_records_total{code="absent",column="thal"} 1.0' in text


def test_health(client: FlaskClient, tmp_path: Any, record: dict[str, Any]) -> None:
    for path in ("/ping", "/health"):
        response = client.get(path)
        assert (response.status_code, response.data) == (200, b"{}")
    assert client.get("/version").text == "1"
    empty = create_app(Settings(model_store=tmp_path / "none")).test_client()
    for path in ("/ping", "/health", "/version", "/execution-parameters"):
        content = check(empty.get(path), 503, "not_ready")
        assert "no version is current yet" in content["message"]
    check(invoke(empty, {"instances": [record]}), 503, "not_ready")


def test_execution_parameters_follow_the_limits(trained: Store) -> None:
    def parameters(**limits: int) -> tuple[str, int, int]:
        app = create_app(Settings(model_store=trained.folder, **limits))  # type: ignore[arg-type]
        content = app.test_client().get("/execution-parameters").get_json()
        return (
            content["BatchStrategy"],
            content["MaxConcurrentTransforms"],
            content["MaxPayloadInMB"],
        )

    assert parameters() == ("SINGLE_RECORD", 2, 8)
    assert parameters(max_records=70_000, workers=4) == ("MULTI_RECORD", 4, 1)
    assert parameters(max_records=10_000_000, workers=50) == ("MULTI_RECORD", 50, 2)
    assert parameters(max_body_bytes=1000, workers=200) == ("SINGLE_RECORD", 100, 1)


def test_safe_custom_attributes_are_returned(client: FlaskClient, records: Records) -> None:
    name = "X-Amzn-SageMaker-Custom-Attributes"
    for sent, returned in (
        ("trace-id=abc, x=1", "trace-id=abc, x=1"),
        ("täg", None),
        ("a\tb", None),
        ("x" * 1025, None),
    ):
        response = invoke(client, {"instances": records}, **{name: sent})
        assert response.status_code == 200 and response.headers.get(name) == returned


def test_keys(trained: Store, records: Records) -> None:
    key, entry = new_entry("ward", ["explain"])
    client = create_app(Settings(model_store=trained.folder, api_keys=entry)).test_client()
    response = invoke(client, {"instances": records})
    check(response, 401, "unauthenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    check(invoke(client, {"instances": records}, **{"X-API-Key": key}), 403, "forbidden")
    for path in ("/ping", "/health", "/version", "/execution-parameters"):
        assert client.get(path).status_code == 200


def test_parameters_next_to_instances_are_accepted_on_configured_routes(
    trained: Store, records: Records
) -> None:
    """Vertex AI chooses the path, often one that the service already has."""
    body = {"instances": records, "parameters": {"anything": 1}}
    plain = create_app(Settings(model_store=trained.folder)).test_client()
    direct = plain.post("/predict", json={"instances": records}).get_json()
    assert plain.post("/predict", json=body).status_code == 422
    for path in ("/v1/endpoints/1/deployedModels/2:predict", "/predict", "/invocations"):
        settings = Settings(model_store=trained.folder, predict_route=path)
        for fast_path in (True, False):
            client = create_app(settings, fast_path=fast_path).test_client()
            for content in (body, {**body, "parameters": None}, {"instances": records}, records):
                response = client.post(path, json=content)
                assert response.status_code == 200 and response.get_json() == direct
            assert client.post(path, json={**body, "other": 1}).status_code == 422
            if path != "/predict":
                assert client.post("/predict", json=body).status_code == 422


def test_a_configured_health_route_reports_readiness(tmp_path: Any) -> None:
    for path in ("/ping", "/health", "/healthz", "/readyz", "/v1/endpoints/1/deployedModels/2"):
        settings = Settings(model_store=tmp_path / "none", health_route=path)
        response = create_app(settings).test_client().get(path)
        assert response.status_code == 503 and response.get_json()["ready"] is False


def test_no_value_appears_in_a_response_or_log(
    client: FlaskClient, record: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    invalid_records = [
        {**record, "thal": MARKED},
        {**record, "age": 8151815.25},
        {**record, "chol": "8151815.1"},
        {**record, "age": [MARKED, 8151815]},
    ]
    bodies: list[tuple[Any, str]] = [
        *(
            (content, "application/json")
            for bad in invalid_records
            for _, content in json_forms([bad])
        ),
        *(
            (csv_of([bad], header=header), "text/csv")
            for bad in invalid_records
            for header in (True, False)
        ),
        *((json.dumps(bad), "application/jsonlines") for bad in invalid_records),
        (f'"{MARKED}', "text/csv"),
        (f'"a"{MARKED}', "text/csv"),
        (f"{MARKED},8151815", "text/csv"),
        (f"{MARKED}", "application/jsonlines"),
        (f'{{"{MARKED}": ', "application/json"),
        ({"inputs": {"age": MARKED}}, "application/json"),
        (MARKED, f"text/csv; a={MARKED}"),
        ({"instances": MARKED, "params": MARKED}, "application/json"),
        ({"dataframe_split": {"columns": [[MARKED]], "data": MARKED}}, "application/json"),
    ]
    for content, media_type in bodies:
        response = invoke(client, content, media_type)
        assert response.status_code in (400, 415), response.text
        for value in (MARKED, "8151815"):
            assert value not in response.text.replace(response.headers["X-Request-ID"], "")
    assert caplog.records
    assert "8151815" not in caplog.text


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "columns",
                    "data",
                    "index",
                    "features",
                    "age",
                    "thal",
                    "instances",
                    "inputs",
                    "dataframe_split",
                    "dataframe_records",
                    "params",
                    "é",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(
    max_examples=n_examples(300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    form=st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs", "x"]),
    content=anything,
    more=anything,
)
def test_no_json_causes_a_server_error(
    client: FlaskClient, form: str, content: Any, more: Any
) -> None:
    for body in ({form: content}, content, {form: content, "params": more}):
        assert invoke(client, body).status_code in (200, 400)
    lines = "\n".join(json.dumps(line) for line in (content, more))
    assert invoke(client, lines, "application/jsonlines").status_code in (200, 400)


cells = st.sampled_from(
    [
        "age",
        "thal",
        "63",
        "fixed",
        "nan",
        "",
        '"',
        '""',
        ",",
        "\n",
        "\r",
        "\0",
        "\ufeff",
        "1e999",
        "-",
        "'",
        "é",
        "\ud800",
        " ",
    ]
)


@settings(
    max_examples=n_examples(300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    parts=st.lists(cells | st.text(max_size=5), max_size=40),
    header=st.sampled_from(["", "; header=present", "; header=absent"]),
)
def test_no_csv_causes_a_server_error(client: FlaskClient, parts: list[str], header: str) -> None:
    for separator in (",", ""):
        body = separator.join(parts).encode("utf-8", "surrogatepass")
        assert invoke(client, body, f"text/csv{header}").status_code in (200, 400)
