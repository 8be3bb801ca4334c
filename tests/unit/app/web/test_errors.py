"""Error responses: every mistake of a client, and errors of the service."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import Settings, create_app
from app.web import PROBLEM_TYPES, ApiError, NotReady, log_error, to_error_response
from model import errors as errors_of_model
from model.artifacts import Store
from model.errors import (
    ArtifactDamaged,
    ExplanationUnavailable,
    IntervalUnavailable,
    ModelError,
    UnknownVersion,
    UnreadableBody,
)

INSTANCE = re.compile(r"/requests/[0-9a-f]{32}")


def post(
    client: FlaskClient, body: bytes | str, mimetype: str = "application/json"
) -> TestResponse:
    return client.post("/predict", data=body, content_type=mimetype)


def check(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """Check that a response is problem details (RFC 9457) without a traceback; return them."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/problem+json"
    content = response.get_json()
    assert list(content)[:6] == ["error", "type", "title", "status", "detail", "instance"]
    assert content["type"] == f"/problems/{code}"
    assert content["status"] == status
    assert INSTANCE.fullmatch(content["instance"])
    assert content["error"] and content["title"] and content["detail"]
    assert "Traceback" not in response.text and ".py" not in response.text
    return content


def errors(response: TestResponse) -> list[tuple[Any, ...]]:
    content = check(response, 422, "invalid_records")
    return [(e.get("row"), e.get("field"), e["code"], e["pointer"]) for e in content["errors"]]


def with_age(record: dict[str, Any], text: str) -> str:
    """Return the record as JSON, with the text as the value of the age."""
    return json.dumps({**record, "age": 54321}).replace("54321", text)


def test_broken_json(client: FlaskClient) -> None:
    content = check(post(client, '{"age": 63,'), 400, "broken_json")
    assert "line 1, column 12" in content["error"]


@pytest.mark.parametrize(
    "mimetype", ["text/csv", "application/x-www-form-urlencoded", "", "application/jsonp"]
)
def test_wrong_content_type(client: FlaskClient, record: dict[str, Any], mimetype: str) -> None:
    response = post(client, json.dumps(record), mimetype)
    content = check(response, 415, "unsupported_media_type")
    assert "application/json" in content["error"]


def test_a_charset_in_the_content_type_is_allowed(
    client: FlaskClient, record: dict[str, Any]
) -> None:
    response = post(client, json.dumps(record), "application/json; charset=utf-8")
    assert response.status_code == 200


@pytest.mark.parametrize("body", [b"", b"  \n"])
def test_empty_body(client: FlaskClient, body: bytes) -> None:
    check(post(client, body), 400, "empty_body")


def test_an_empty_object(client: FlaskClient, record: dict[str, Any]) -> None:
    problems = errors(post(client, "{}"))
    assert problems == [(0, name, "absent", f"#/{name}") for name in record]


@pytest.mark.parametrize(("body", "pointer"), [("[]", "#"), ('{"instances": []}', "#/instances")])
def test_an_empty_list(client: FlaskClient, body: str, pointer: str) -> None:
    assert errors(post(client, body)) == [(None, None, "no_records", pointer)]


@pytest.mark.parametrize("body", ["3", '"text"', "null", "true", '{"instances": 3}'])
def test_no_records_at_all(client: FlaskClient, body: str) -> None:
    assert errors(post(client, body))[0][2] in ("not_records", "absent")


def test_records_that_are_not_objects(client: FlaskClient) -> None:
    assert errors(post(client, "[3, [1]]")) == [
        (0, None, "not_an_object", "#/0"),
        (1, None, "not_an_object", "#/1"),
    ]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity(client: FlaskClient, record: dict[str, Any], text: str) -> None:
    assert errors(post(client, with_age(record, text))) == [(0, "age", "not_finite", "#/age")]


def test_1e400(client: FlaskClient, record: dict[str, Any]) -> None:
    for text in ("1e400", "-1e400", "9" * 5_000):
        assert errors(post(client, with_age(record, text))) == [(0, "age", "not_finite", "#/age")]


def test_strings_for_numbers(client: FlaskClient, record: dict[str, Any]) -> None:
    assert errors(post(client, with_age(record, '"63"'))) == [(0, "age", "wrong_type", "#/age")]


@pytest.mark.parametrize("text", ["true", "false"])
def test_booleans_for_numbers_and_levels(
    client: FlaskClient, record: dict[str, Any], text: str
) -> None:
    assert errors(post(client, with_age(record, text))) == [(0, "age", "wrong_type", "#/age")]
    response = client.post("/predict", json={**record, "fbs": text == "true"})
    assert errors(response) == [(0, "fbs", "wrong_type", "#/fbs")]


def test_a_fraction_for_a_level(client: FlaskClient, record: dict[str, Any]) -> None:
    response = client.post("/predict", json={**record, "slope": 1.5})
    assert errors(response) == [(0, "slope", "not_allowed", "#/slope")]
    assert client.post("/predict", json={**record, "slope": 1.0}).status_code == 200


def test_unknown_column(client: FlaskClient, record: dict[str, Any]) -> None:
    response = client.post("/predict", json=[record, {**record, "a/b~c": 1}])
    assert errors(response) == [(1, "a/b~c", "unknown_column", "#/1/a~1b~0c")]


def test_absent_column(client: FlaskClient, record: dict[str, Any]) -> None:
    del record["thal"]
    response = client.post("/predict", json={"instances": [record]})
    assert errors(response) == [(0, "thal", "absent", "#/instances/0/thal")]


def test_misspelt_column(client: FlaskClient, record: dict[str, Any]) -> None:
    record["thall"] = record.pop("thal")
    content = check(client.post("/predict", json=record), 422, "invalid_records")
    assert content["errors"][1]["did_you_mean"] == "thal"


def test_unknown_level(client: FlaskClient, record: dict[str, Any]) -> None:
    content = check(
        client.post("/predict", json={**record, "thal": "fixd"}), 422, "invalid_records"
    )
    (error,) = content["errors"]
    assert error["did_you_mean"] == "fixed"
    assert error["allowed"] == [3, 6, 7, 1, 2, "normal", "fixed", "reversible"]
    assert errors(client.post("/predict", json={**record, "cp": 7}))[0][2] == "not_allowed"


def test_null_in_required_columns(client: FlaskClient, record: dict[str, Any]) -> None:
    problems = errors(client.post("/predict", json=dict.fromkeys(record)))
    assert [field for _, field, code, _ in problems if code == "null_not_allowed"] == [
        "age",
        "sex",
        "cp",
    ]
    assert len(problems) == 3


def test_null_in_optional_columns(client: FlaskClient, record: dict[str, Any]) -> None:
    required = {name: record[name] for name in ("age", "sex", "cp")}
    response = client.post("/predict", json={**dict.fromkeys(record), **required})
    assert response.status_code == 200
    assert len(response.get_json()["predictions"][0]["missing"]) == 10


def test_duplicate_keys(client: FlaskClient, record: dict[str, Any]) -> None:
    body = json.dumps(record)[:-1] + ', "age": 54}'
    assert errors(post(client, body)) == [(0, "age", "duplicate_key", "#/age")]


def test_5000_fold_nesting(client: FlaskClient, record: dict[str, Any]) -> None:
    for body in ("[" * 5_000 + "]" * 5_000, '{"a":' * 5_000 + "1" + "}" * 5_000):
        check(post(client, body), 400, "too_deep")
    check(post(client, with_age(record, "[" * 5_000 + "]" * 5_000)), 400, "too_deep")


def test_bytes_that_are_not_utf8(client: FlaskClient) -> None:
    check(post(client, b'{"age": "\xff\xfe"}'), 400, "not_utf8")


def test_a_body_over_the_limit(trained: Store, record: dict[str, Any]) -> None:
    settings = Settings(model_store=trained.folder, max_body_bytes=500)
    client = create_app(settings).test_client()
    assert client.post("/predict", json=record).status_code == 200
    content = check(client.post("/predict", json=[record] * 5), 413, "body_too_large")
    assert "at most 500 bytes" in content["error"]


def test_more_records_than_the_limit(trained: Store, record: dict[str, Any]) -> None:
    settings = Settings(model_store=trained.folder, max_records=2)
    client = create_app(settings).test_client()
    assert errors(client.post("/predict", json=[record] * 3)) == [
        (None, None, "too_many_records", "#")
    ]


def test_wrong_method(client: FlaskClient) -> None:
    for method, path in (("GET", "/predict"), ("DELETE", "/predict"), ("POST", "/model")):
        response = client.open(path, method=method)
        check(response, 405, "method_not_allowed")
        assert response.headers["Allow"]


def test_unknown_path(client: FlaskClient) -> None:
    for path in ("/nope", "/predict/", "/%2e%2e/etc/passwd"):
        check(client.post(path, json={}), 404, "not_found")


def test_every_problem_of_every_record(client: FlaskClient, record: dict[str, Any]) -> None:
    bad = {**record, "age": 0, "sex": "x", "chol": "y"}
    response = client.post("/predict", json=[bad, record, bad])
    content = check(response, 422, "invalid_records")
    assert content["detail"] == "6 problems in 2 of 3 records"
    assert content["error"] == "row 0: age must be between 1 and 120 years (and 5 more)"
    assert content["errors"][0]["minimum"] == 1 and content["errors"][0]["maximum"] == 120
    assert [e["row"] for e in content["errors"]] == [0, 0, 0, 2, 2, 2]


def test_more_problems_than_are_listed(client: FlaskClient) -> None:
    content = check(client.post("/predict", json=[{}] * 1_000), 422, "invalid_records")
    assert len(content["errors"]) == 10_000
    assert content["detail"] == (
        "13000 problems in 1000 of 1000 records; the first 10000 are listed"
    )


def test_an_unexpected_error_is_logged_without_its_message(
    trained: Store, record: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(model_store=trained.folder))

    @app.get("/broken")
    def broken() -> str:
        value = (
            f"MARKED-{8151000 + 815}"  # the source line in the traceback must not contain the value
        )
        raise RuntimeError(value)

    response = app.test_client().get("/broken")
    content = check(response, 500, "internal_error")
    assert "MARKED-8151815" not in response.text + caplog.text
    assert content["instance"] in caplog.text
    assert "in broken" in caplog.text, "the log must contain the traceback"


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (UnreadableBody("too_deep", "the body is nested too deeply"), "too_deep", 400),
        (ExplanationUnavailable("no data for explanations"), "not_explainable", 501),
        (IntervalUnavailable("no data for intervals"), "no_interval", 501),
        (UnknownVersion("there is no version 9"), "not_found", 404),
        (NotReady("no model is loaded"), "not_ready", 503),
        (ApiError("version_in_use", "version 1 is the current version"), "version_in_use", 409),
    ],
)
def test_an_exception_becomes_the_problem_type_of_its_code(
    error: Exception, code: str, status: int
) -> None:
    response = to_error_response(error, max_body_bytes=1)
    assert (response.code, response.status, response.detail) == (code, status, str(error))


@pytest.mark.parametrize("error", [ModelError("MARKED"), ArtifactDamaged("MARKED"), KeyError("M")])
def test_an_exception_without_a_code_is_an_internal_error(error: Exception) -> None:
    response = to_error_response(error, max_body_bytes=1)
    assert (response.code, response.status) == ("internal_error", 500)
    assert "M" not in response.detail + response.error


def test_every_code_of_an_exception_is_a_problem_type() -> None:
    classes = [c for c in vars(errors_of_model).values() if isinstance(c, type)]
    codes = {c.code for c in classes if issubclass(c, ModelError)}
    assert codes == {
        *("internal_error", "invalid_records", "not_explainable", "no_interval", "not_found")
    }
    assert codes <= set(PROBLEM_TYPES)


def test_converting_an_error_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    response = to_error_response(RuntimeError("MARKED8151815"), max_body_bytes=1)
    assert not caplog.records
    log_error(RuntimeError("MARKED8151815"), response)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert "MARKED8151815" not in caplog.text


def test_no_value_appears_in_a_log(
    client: FlaskClient, record: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    marked = "MARKED8151815"
    bodies = [
        json.dumps({**record, "thal": marked}),
        json.dumps({**record, marked: 1}),
        json.dumps([{**record, "age": 8151815.25}]),
        json.dumps({"instances": marked}),
        with_age(record, marked),
        f'{{"{marked}": ',
        f'"{marked}"',
        json.dumps({**record, "ca": None, "age": 81.51}),
        "[" * 40 + f'"{marked}"' + "]" * 40,
    ]
    for body in bodies:
        post(client, body)
        post(client, body, "text/plain")
        client.post(f"/{marked}", data=body)
    assert caplog.records
    assert "8151815" not in caplog.text and "81.51" not in caplog.text
