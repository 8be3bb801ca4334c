"""TensorFlow Serving's REST API and KServe's V1, with the bodies of their documentation."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from app import Service, Settings, create_app
from app.api_keys import new_entry
from app.models import LoadedModel
from app.protocols.tensorflow_serving.requests import read_tensors
from model.artifacts import Artifact, Store
from model.errors import ExplanationUnavailable, InvalidRecords
from model.records import MAX_LISTED_PROBLEMS
from model.schema import Schema
from tests.conftest import ROOT, n_examples

MODEL = "/v1/models/cleveland"
VERBS = {
    "predict": "instances",
    "explain": "instances",
    "classify": "examples",
    "regress": "examples",
}


@pytest.fixture(scope="module")
def app(trained: Store) -> Service:
    return create_app(Settings(model_store=trained.folder))


@pytest.fixture(scope="module")
def client(app: Service) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def records(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return three records with different predictions; the second has words and a missing value."""
    words = {"sex": "female", "thal": "Fixed", "cp": 2, "ca": None, "chol": None}
    return [record, {**record, **words}, {**record, "age": 71, "oldpeak": 4, "thal": 7}]


def columns(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the records column by column."""
    return {name: [record[name] for record in records] for name in records[0]}


def ask(client: FlaskClient, path: str, body: Any) -> TestResponse:
    """Send a body with the Content-Type of ``curl -d``, which is not JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, data=data, content_type="application/x-www-form-urlencoded")


def answer(client: FlaskClient, path: str, body: Any) -> Any:
    response = ask(client, path, body)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    return response.get_json()


def refusal(response: TestResponse, status: int) -> Any:
    """Check that an error has TensorFlow Serving's member and the problem details; return it."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    content = response.get_json()
    assert list(content)[:6] == ["error", "type", "title", "status", "detail", "instance"]
    assert content["status"] == status
    return content


def predicted_probabilities(client: FlaskClient, records: list[dict[str, Any]]) -> list[float]:
    content = client.post("/predict", json=records).get_json()
    return [prediction["probability"] for prediction in content["predictions"]]


def test_row_format(client: FlaskClient, records: list[dict[str, Any]]) -> None:
    body = {"signature_name": "serving_default", "instances": records}
    content = answer(client, f"{MODEL}:predict", body)
    assert list(content) == ["predictions"]
    assert [len(row) for row in content["predictions"]] == [1, 1, 1]
    assert all(0 < row[0] < 1 for row in content["predictions"])


def test_columnar_format(client: FlaskClient, records: list[dict[str, Any]]) -> None:
    content = answer(client, f"{MODEL}:predict", {"inputs": columns(records)})
    assert list(content) == ["outputs"]
    assert [len(row) for row in content["outputs"]] == [1, 1, 1]


def test_classify_and_regress(client: FlaskClient, records: list[dict[str, Any]]) -> None:
    classes = answer(client, f"{MODEL}:classify", {"examples": records})["results"]
    numbers = answer(client, f"{MODEL}:regress", {"examples": records})["results"]
    assert [[label for label, _ in row] for row in classes] == [["no disease", "disease"]] * 3
    for ((_, no), (_, yes)), number in zip(classes, numbers, strict=True):
        assert yes == number and no == 1 - yes


def test_every_route_gives_the_same_probabilities(
    client: FlaskClient, records: list[dict[str, Any]]
) -> None:
    expected = predicted_probabilities(client, records)
    assert len(set(expected)) == 3
    rows, cols = {"instances": records}, {"inputs": columns(records)}
    assert answer(client, f"{MODEL}:predict", rows)["predictions"] == [[p] for p in expected]
    assert answer(client, f"{MODEL}:predict", cols)["outputs"] == [[p] for p in expected]
    examples = {"examples": records}
    assert answer(client, f"{MODEL}:regress", examples)["results"] == expected
    classes = answer(client, f"{MODEL}:classify", examples)["results"]
    assert [yes for _, (_, yes) in classes] == expected


def test_other_batch_sizes_agree(client: FlaskClient, records: list[dict[str, Any]]) -> None:
    expected = predicted_probabilities(client, records)
    for n in (7, 64, 1_000):
        many = (records * n)[: n * 2]
        actual = answer(client, f"{MODEL}:predict", {"instances": many})["predictions"]
        for i, (p,) in enumerate(actual):
            assert p == pytest.approx(expected[i % 3], abs=1e-6)


def test_values_in_every_form_of_a_tensor(client: FlaskClient, record: dict[str, Any]) -> None:
    """Scalars, lists with one value, base64; NaN means missing, like null."""
    known = {**record, "thal": "fixed", "chol": None}
    expected = predicted_probabilities(client, [known, known])
    word = {"b64": base64.b64encode(b"fixed").decode()}
    forms = [
        {name: [value] for name, value in known.items()},
        {**known, "thal": word, "chol": math.nan},
        {**known, "thal": [word], "chol": [math.nan]},
        {**known, "age": float(record["age"]), "chol": [None]},
    ]
    for form in forms:
        rows, cols = {"instances": [form] * 2}, {"inputs": columns([form] * 2)}
        assert answer(client, f"{MODEL}:predict", rows)["predictions"] == [[p] for p in expected]
        assert answer(client, f"{MODEL}:predict", cols)["outputs"] == [[p] for p in expected]
        examples = {"examples": [form] * 2}
        assert answer(client, f"{MODEL}:regress", examples)["results"] == expected


def test_nan_in_a_required_column(client: FlaskClient, record: dict[str, Any]) -> None:
    content = refusal(
        ask(client, f"{MODEL}:predict", {"instances": [{**record, "age": math.nan}]}), 400
    )
    assert content["errors"][0]["code"] == "null_not_allowed"
    for infinite in (math.inf, -math.inf):
        body = {"instances": [{**record, "age": infinite}]}
        content = refusal(ask(client, f"{MODEL}:predict", body), 400)
        assert content["errors"][0]["code"] == "not_finite"


def test_context_is_shared_by_all_examples(
    client: FlaskClient, records: list[dict[str, Any]]
) -> None:
    same = [{**record, "sex": 1, "cp": 3} for record in records]
    rest = [{k: v for k, v in r.items() if k not in ("sex", "cp")} for r in same]
    body = {"context": {"sex": [1], "cp": 3}, "examples": rest}
    assert answer(client, f"{MODEL}:regress", body)["results"] == predicted_probabilities(
        client, same
    )


def test_keys_that_tensorflow_serving_ignores_are_ignored(
    client: FlaskClient, records: list[dict[str, Any]]
) -> None:
    expected = predicted_probabilities(client, records)
    body: dict[str, Any] = {"instances": records, "other": 1}
    assert answer(client, f"{MODEL}:predict", body)["predictions"] == [[p] for p in expected]
    body = {"inputs": {**columns(records), "other": [1]}}
    assert answer(client, f"{MODEL}:predict", body)["outputs"] == [[p] for p in expected]
    body = {"context": {"more": 2}, "examples": [{**r, "other": 1} for r in records]}
    assert answer(client, f"{MODEL}:regress", body)["results"] == expected


@pytest.mark.parametrize(
    ("verb", "signature"),
    [
        *((verb, name) for verb in VERBS for name in ("", "serving_default") if verb != "explain"),
        ("predict", "predict"),
        ("classify", "classification"),
        ("regress", "regression"),
        ("classify", "tensorflow/serving/classify"),
        ("regress", "tensorflow/serving/regress"),
    ],
)
def test_signature_names(
    client: FlaskClient, record: dict[str, Any], verb: str, signature: str
) -> None:
    answer(client, f"{MODEL}:{verb}", {"signature_name": signature, VERBS[verb]: [record]})


def test_the_content_type_is_ignored(client: FlaskClient, record: dict[str, Any]) -> None:
    body = json.dumps({"instances": [record]})
    for content_type in ("", "text/plain", "application/json", "nonsense"):
        response = client.post(f"{MODEL}:predict", data=body, content_type=content_type)
        assert response.status_code == 200


BAD = object()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b'{"instances": ', "JSON Parse error: "),
        (b'{"instances": "\xff"}', "JSON Parse error: "),
        (b"[" * 5_000, "JSON Parse error: "),
        ([1], "JSON Value: Is not object"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [], "inputs": {}}, "Not formatted correctly expecting only one of"),
        ({"instances": {}}, "Expecting 'instances' to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": [1.0, 2.0]}, "instances is a plain list, but expecting list of objects"),
        ({"instances": [BAD, 3]}, "Expecting object but got list at item 1 of input list"),
        (
            {"instances": [BAD], "signature_name": 100},
            "JSON Value: not formatted correctly. 'signature_name' key must be a string value.",
        ),
        (
            {"instances": [BAD], "signature_name": "foo"},
            'Serving signature name: "foo" not found in signature def',
        ),
        ({"inputs": [1.0]}, "inputs is a plain value/list, but expecting an object as multiple"),
        ({"inputs": {"b64": "MQ=="}}, "inputs is a plain value/list, but expecting an object"),
    ],
)
def test_bodies_without_records(
    client: FlaskClient, record: dict[str, Any], body: Any, error: str
) -> None:
    if isinstance(body, dict) and isinstance(body.get("instances"), list):
        body = {**body, "instances": [record if x is BAD else x for x in body["instances"]]}
    content = refusal(ask(client, f"{MODEL}:predict", body), 400)
    assert content["error"].startswith(error)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "key 'examples' is expected and was not found"),
        ({"instances": []}, "key 'examples' is expected and was not found"),
        ({"examples": {}}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [3]}, "Example must be JSON object"),
        ({"examples": [{}], "context": None}, "Example must be JSON object"),
        ({"examples": [{}], "signature_name": "predict"}, 'Serving signature name: "predict"'),
    ],
)
def test_bodies_without_examples(client: FlaskClient, body: Any, error: str) -> None:
    for verb in ("classify", "regress"):
        content = refusal(ask(client, f"{MODEL}:{verb}", body), 400)
        assert content["error"].startswith(error)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"age": "x"}, "Failed to process element: 1 key: age of 'instances' list. Error: must be"),
        ({"age": [1, 2]}, "Failed to process element: 1 key: age of 'instances' list. Error: "),
        ({"age": [[54]]}, "Failed to process element: 1 key: age of 'instances' list. Error: "),
        (
            {"age": 630},
            "Failed to process element: 1 key: age of 'instances' list. Error: must be "
            "between 1 and 120 years",
        ),
        ({"thal": {"b64": "%"}}, "Failed to process element: 1 key: thal of 'instances' list."),
        ({"thal": {"b64": "/w=="}}, "Failed to process element: 1 key: thal of 'instances' list."),
        (
            {"agee": 1},
            "Failed to process element: 1 key: agee of 'instances' list. Error: JSON "
            "object: does not have named input: agee",
        ),
        (
            {"thal": ...},
            "Failed to process element: 1 of 'instances' list. JSON object: keys must "
            "be equal to the inputs of the signature: thal is absent",
        ),
    ],
)
def test_invalid_rows(
    client: FlaskClient, record: dict[str, Any], change: dict[str, Any], error: str
) -> None:
    bad = {k: v for k, v in {**record, **change}.items() if v is not ...}
    content = refusal(ask(client, f"{MODEL}:predict", {"instances": [record, bad]}), 400)
    assert content["error"].startswith(error)
    (problem,) = content["errors"]
    (field,) = change
    assert (problem["row"], problem["field"]) == (1, field)
    assert problem["pointer"] == f"#/instances/1/{field}"
    assert content["detail"] == "1 problem in 1 of 2 records"


def test_every_problem_is_reported(client: FlaskClient, record: dict[str, Any]) -> None:
    bad = {**record, "age": 0, "sex": "x"}
    content = refusal(ask(client, f"{MODEL}:predict", {"instances": [bad, record, bad]}), 400)
    assert content["error"].endswith("(and 3 more)")
    assert content["detail"] == "4 problems in 2 of 3 records"
    assert [(e["row"], e["field"]) for e in content["errors"]] == [
        (0, "age"),
        (0, "sex"),
        (2, "age"),
        (2, "sex"),
    ]


def test_invalid_columns(client: FlaskClient, records: list[dict[str, Any]]) -> None:
    def errors(inputs: dict[str, Any]) -> tuple[str, list[tuple[Any, ...]]]:
        content = refusal(ask(client, f"{MODEL}:predict", {"inputs": inputs}), 400)
        listed = [(e.get("row"), e["field"], e["code"], e["pointer"]) for e in content["errors"]]
        return content["error"], listed

    good = columns(records)
    lacking = {name: column for name, column in good.items() if name not in ("age", "thal")}
    error, problems = errors(lacking)
    assert error == "Missing named input: age in 'inputs' object. (and 1 more)"
    assert problems == [(None, n, "absent", f"#/inputs/{n}") for n in ("age", "thal")]

    error, problems = errors({**good, "age": good["age"][:2], "thal": [*good["thal"], 3]})
    assert error.startswith("Expecting tensor size: 3 but got: 2 for named input: age")
    assert [name for _, name, code, _ in problems if code == "wrong_length"] == ["age", "thal"]

    error, problems = errors({**good, "age": 54})
    assert problems == [(None, "age", "wrong_type", "#/inputs/age")]

    error, problems = errors({**good, "thal": [3, "fixd", 3]})
    assert error.startswith("Failed to process element: 1 key: thal of 'inputs' object. Error: ")
    assert problems == [(1, "thal", "not_allowed", "#/inputs/thal/1")]

    content = refusal(ask(client, f"{MODEL}:predict", {"inputs": {name: [] for name in good}}), 400)
    assert content["error"] == "No values in 'inputs' object"


def test_invalid_examples(client: FlaskClient, record: dict[str, Any]) -> None:
    content = refusal(ask(client, f"{MODEL}:regress", {"examples": [record, {}]}), 400)
    assert content["error"].startswith(
        "Failed to process element: 1 key: age of 'examples' list. Error: is absent"
    )
    body: dict[str, Any] = {"context": {"age": 40, "other": 1}, "examples": [{}, record]}
    content = refusal(ask(client, f"{MODEL}:classify", body), 400)
    assert [(e["row"], e["field"], e["pointer"]) for e in content["errors"]] == [
        (1, "age", "#/examples/1/age")
    ]
    assert "is also in 'context'" in content["error"]


def test_an_invalid_context_is_reported_once(client: FlaskClient, record: dict[str, Any]) -> None:
    del record["age"]
    bad = {**record, "sex": "x"}
    body = {"context": {"age": 630}, "examples": [record, record, bad]}
    content = refusal(ask(client, f"{MODEL}:classify", body), 400)
    assert [(e.get("row"), e["field"], e["pointer"]) for e in content["errors"]] == [
        (None, "age", "#/context/age"),
        (2, "sex", "#/examples/2/sex"),
    ]
    assert content["error"].startswith("Failed to process key: age of 'context'. Error: must be")
    assert content["error"].endswith("(and 1 more)")


def test_duplicate_keys(client: FlaskClient, record: dict[str, Any]) -> None:
    row = json.dumps(record)
    twice = row[:-1] + ', "age": 54}'
    lists = json.dumps(columns([record]))[:-1] + ', "age": [54]}'
    for verb, body, pointer in (
        ("predict", f'{{"instances": [{twice}]}}', "#/instances/0/age"),
        ("predict", f'{{"instances": [{row}], "instances": [{row}]}}', "#/instances"),
        ("predict", f'{{"inputs": {lists}}}', "#/inputs/age"),
        ("regress", f'{{"examples": [{twice}]}}', "#/examples/0/age"),
        ("regress", f'{{"context": {{"x": 1, "x": 2}}, "examples": [{row}]}}', "#/context/x"),
    ):
        content = refusal(ask(client, f"{MODEL}:{verb}", body.encode()), 400)
        (error,) = content["errors"]
        assert (error["code"], error["pointer"]) == ("duplicate_key", pointer)


def shared(n_examples: int, n_keys: int = 1) -> bytes:
    """Return a body whose examples repeat every key of the context."""
    keys = {f"k{key}": 1 for key in range(n_keys)}
    example = json.dumps(keys, separators=(",", ":")).encode()
    examples = b",".join([example] * n_examples)
    return b'{"context":' + example + b',"examples":[' + examples + b"]}"


def repeated(n_keys: int) -> bytes:
    """Return a body whose context has every key twice."""
    keys = ",".join(f'"{key}":1,"{key}":1' for key in range(n_keys))
    return f'{{"context":{{{keys}}},"examples":[{{}}]}}'.encode()


@pytest.mark.parametrize(
    ("make", "n_problems", "expected"),
    [
        (lambda: shared(900_000), 1, (None, None, "too_many_records", "#/examples")),
        (lambda: shared(10_000, 20), 200_000, (0, "k0", "duplicate_key", "#/examples/0/k0")),
        (lambda: repeated(100_000), 100_000, (None, "0", "duplicate_key", "#/context/0")),
    ],
    ids=["too many examples", "many shared keys", "many repeated keys"],
)
def test_the_response_to_many_problems_is_bounded(
    client: FlaskClient, make: Callable[[], bytes], n_problems: int, expected: tuple[Any, ...]
) -> None:
    """A body of 8 MiB, less than 100 kB compressed, can have a million problems."""
    body = make()
    headers = {"Content-Encoding": "gzip"}
    response = client.post(f"{MODEL}:classify", data=gzip.compress(body, 1), headers=headers)
    content = refusal(response, 400)
    first = content["errors"][0]
    assert (first.get("row"), first.get("field"), first["code"], first["pointer"]) == expected
    assert len(content["errors"]) == min(n_problems, MAX_LISTED_PROBLEMS)
    assert len(response.data) < 3_000_000
    detail = f"{n_problems} problem"
    if n_problems > MAX_LISTED_PROBLEMS:
        assert content["detail"].endswith(f"; the first {MAX_LISTED_PROBLEMS} are listed")
        assert content["error"].endswith(f" (and {n_problems - 1} more)")
    assert content["detail"].startswith(detail)


def test_columns_over_the_limit_are_refused_before_they_become_records() -> None:
    """A record of thirteen columns takes a hundred times the memory of its numbers in the body."""
    inputs = read_tensors(
        b'{"inputs": {"age": [1, 2, 3], "sex": [0, 0, 0]}}', ("age", "sex"), (), 2
    )
    assert list(inputs.records) == [1, 2, 3]


def test_limits(trained: Store, record: dict[str, Any]) -> None:
    limits = Settings(model_store=trained.folder, max_records=2, max_body_bytes=2_000)
    client = create_app(limits).test_client()
    three: Any = [record] * 3
    for verb, body in (
        ("predict", {"instances": three}),
        ("predict", {"inputs": columns(three)}),
        ("classify", {"examples": three}),
    ):
        content = refusal(ask(client, f"{MODEL}:{verb}", body), 400)
        assert content["errors"][0]["code"] == "too_many_records"
        assert f"'{next(iter(body))}' must hold at most 2 records" in content["error"]
    refusal(ask(client, f"{MODEL}:predict", {"instances": [record] * 20}), 413)


def test_unknown_models(client: FlaskClient, record: dict[str, Any]) -> None:
    body = {"instances": [record], "examples": [record]}
    for path, request in (
        ("/v1/models/nope", "Latest(nope)"),
        ("/v1/models/nope/versions/1", "Specific(nope, 1)"),
        ("/v1/models/nope/labels/current", "Specific(nope, 1)"),
        (f"{MODEL}/versions/9", "Specific(cleveland, 9)"),
    ):
        for verb in VERBS:
            content = refusal(ask(client, f"{path}:{verb}", body), 404)
            assert content["error"] == f"Servable not found for request: {request}"
        content = refusal(client.get(f"{path}/metadata"), 404)
        assert content["error"] == f"Servable not found for request: {request}"
    for path, error in (
        ("/v1/models/nope", "Could not find any versions of model nope"),
        ("/v1/models/nope/versions/1", "Could not find version 1 of model nope"),
        (f"{MODEL}/versions/9", "Could not find version 9 of model cleveland"),
        (f"{MODEL}/labels/next", "Unrecognized servable version label: next"),
    ):
        assert refusal(client.get(path), 404)["error"] == error
    content = refusal(ask(client, f"{MODEL}/labels/next:predict", body), 404)
    assert content["error"] == "Unrecognized servable version label: next"


def test_malformed_requests(client: FlaskClient, record: dict[str, Any]) -> None:
    for path in (f"{MODEL}:foo", f"{MODEL}/versions/1:foo", f"{MODEL}/labels/current:foo"):
        content = refusal(ask(client, path, {"instances": [record]}), 400)
        assert content["error"] == f"Malformed request: POST {path}"
        assert client.get(path).status_code == 405
    refusal(client.get(f"{MODEL}/versions/one"), 400)
    content = refusal(client.get(f"{MODEL}/versions/9223372036854775808"), 400)
    assert content["error"] == "Failed to convert version: 9223372036854775808 to numeric."
    refusal(client.get(f"{MODEL}/versions/{'9' * 6_000}"), 400)


def test_wrong_methods(client: FlaskClient) -> None:
    for verb in VERBS:
        for prefix in (MODEL, f"{MODEL}/versions/1", f"{MODEL}/labels/current"):
            for method in ("get", "put", "delete"):
                response = client.open(f"{prefix}:{verb}", method=method)
                assert response.status_code == 405
                assert "POST" in response.headers["Allow"]
    for path in (MODEL, f"{MODEL}/metadata", "/v1/models"):
        response = client.post(path)
        assert response.status_code == 405
        assert "GET" in response.headers["Allow"]


def test_status(client: FlaskClient) -> None:
    state = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    assert client.get(MODEL).get_json() == {
        "name": "cleveland",
        "ready": True,
        "model_version_status": [state],
    }
    for path in (f"{MODEL}/versions/1", f"{MODEL}/versions/01", f"{MODEL}/labels/current"):
        assert client.get(path).get_json() == {"model_version_status": [state]}
    assert client.get("/v1/models").get_json() == {"models": ["cleveland"]}
    assert client.get("/").get_json() == {"status": "alive"}


def test_metadata(client: FlaskClient, schema: Schema) -> None:
    content = client.get(f"{MODEL}/metadata").get_json()
    assert content["model_spec"] == {"name": "cleveland", "signature_name": "", "version": "1"}
    signature = content["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert list(signature["inputs"]) == list(schema.column_names)
    assert signature["inputs"]["age"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
        "name": "serving_default_age:0",
    }
    assert list(signature["outputs"]) == ["probability"]
    shape = signature["outputs"]["probability"]["tensor_shape"]
    assert [dim["size"] for dim in shape["dim"]] == ["-1", "1"]
    assert signature["method_name"] == "tensorflow/serving/predict"


def test_metrics_have_the_path_of_tensorflow_serving(client: FlaskClient) -> None:
    response = client.get("/monitoring/prometheus/metrics")
    assert response.status_code == 200
    assert "tabular_requests_total" in response.text


def test_a_service_without_a_model(tmp_path: Any, record: dict[str, Any]) -> None:
    client = create_app(Settings(model_store=tmp_path)).test_client()
    for verb, key in VERBS.items():
        for prefix in (MODEL, f"{MODEL}/versions/1", f"{MODEL}/labels/current"):
            content = refusal(ask(client, f"{prefix}:{verb}", {key: [record]}), 503)
            assert "no version is current yet" in content["error"]
            refusal(client.get(prefix), 503)
            refusal(client.get(f"{prefix}/metadata"), 503)
    assert refusal(client.get(MODEL), 503)["ready"] is False
    assert client.get("/v1/models").get_json() == {"models": []}


def test_versions_and_labels(store: Store, artifact: Artifact, record: dict[str, Any]) -> None:
    store.add(artifact.manifest, artifact.files)
    several = Settings(
        model_store=store.folder, versions=("all",), version_labels={"canary": "2", "next": "9"}
    )
    app = create_app(several)
    client = app.test_client()
    for path, version in (
        (MODEL, "1"),
        (f"{MODEL}/versions/1", "1"),
        (f"{MODEL}/versions/2", "2"),
        (f"{MODEL}/labels/canary", "2"),
        (f"{MODEL}/labels/current", "1"),
    ):
        before = n_scored(app, version)
        answer(client, f"{path}:predict", {"instances": [record]})
        assert n_scored(app, version) == before + 1
        content = client.get(f"{path}/metadata").get_json()
        assert content["model_spec"]["version"] == version
    states = client.get(MODEL).get_json()["model_version_status"]
    assert [(s["version"], s["state"]) for s in states] == [
        ("9", "END"),
        ("2", "AVAILABLE"),
        ("1", "AVAILABLE"),
    ]
    (canary,) = client.get(f"{MODEL}/labels/canary").get_json()["model_version_status"]
    assert canary == states[1]
    refusal(ask(client, f"{MODEL}/labels/next:predict", {"instances": [record]}), 404)
    store.promote("2")
    app.models.refresh()
    before = n_scored(app, "2")
    answer(client, f"{MODEL}:predict", {"instances": [record]})
    assert n_scored(app, "2") == before + 1


def n_scored(app: Service, version: str) -> float:
    """Return the number of records that a version has scored, from the metrics."""
    name = f'tabular_records_total{{version="{version}"}} '
    lines = [line for line in app.metrics.text().decode().splitlines() if line.startswith(name)]
    return float(lines[0].removeprefix(name)) if lines else 0.0


def test_a_version_that_could_not_be_loaded(
    store: Store, artifact: Artifact, record: dict[str, Any]
) -> None:
    store.add(artifact.manifest, artifact.files)
    (store.path("2") / "model.onnx").write_bytes(b"damaged")
    store.promote("2")
    store.promote("1")
    client = create_app(Settings(model_store=store.folder, versions=("all",))).test_client()
    damaged, good = client.get(MODEL).get_json()["model_version_status"]
    assert good["state"] == "AVAILABLE"
    assert (damaged["version"], damaged["state"]) == ("2", "END")
    assert damaged["status"]["error_code"] not in ("OK", "")
    assert "model.onnx" in damaged["status"]["error_message"]
    assert str(store.folder) not in json.dumps(damaged)
    refusal(ask(client, f"{MODEL}/versions/2:predict", {"instances": [record]}), 404)


def test_a_single_version_answers_by_its_number(store: Store, record: dict[str, Any]) -> None:
    """Its folder may have any name, such as that of a mount."""
    folder = store.path("1").rename(store.folder.parent / "mounted")
    client = create_app(Settings(model_store=folder)).test_client()
    for path in (MODEL, f"{MODEL}/versions/1", f"{MODEL}/labels/current"):
        answer(client, f"{path}:predict", {"instances": [record]})
        (state,) = client.get(path).get_json()["model_version_status"]
        assert (state["version"], state["state"]) == ("1", "AVAILABLE")


def test_explain(app: Service, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """tests/model/inference tests the content of explanations."""
    client = app.test_client()
    monkeypatch.setattr(LoadedModel, "explain", lambda self, values: [len(values)] * len(values))
    for body in ({"instances": [record] * 2}, {"inputs": columns([record] * 2)}):
        assert answer(client, f"{MODEL}:explain", body) == {"explanations": [2, 2]}
    many = {"instances": [record] * (app.settings.max_explained + 1)}
    content = refusal(ask(client, f"{MODEL}:explain", many), 400)
    assert content["error"].startswith("'instances' must hold at most 100 records")

    def unavailable(self: LoadedModel, values: Any) -> Any:
        raise ExplanationUnavailable("this version holds nothing to explain its answers with")

    monkeypatch.setattr(LoadedModel, "explain", unavailable)
    refusal(ask(client, f"{MODEL}:explain", {"instances": [record]}), 501)


def test_keys(trained: Store, record: dict[str, Any]) -> None:
    key, entry = new_entry("ward", ["predict"])
    client = create_app(Settings(model_store=trained.folder, api_keys=entry)).test_client()
    headers = {"Authorization": f"Bearer {key}"}
    data = json.dumps({"instances": [record], "examples": [record]})
    for form in (MODEL, f"{MODEL}/versions/1", f"{MODEL}/labels/current"):
        for verb in VERBS:
            assert refusal(client.post(f"{form}:{verb}", data=data), 401)
            response = client.post(f"{form}:{verb}", data=data, headers=headers)
            assert response.status_code == (403 if verb == "explain" else 200)
        assert client.get(form).status_code == 401
        assert client.get(form, headers=headers).status_code == 200
        assert client.get(f"{form}/metadata", headers=headers).status_code == 200
    assert client.get("/v1/models").status_code == 401
    assert client.get("/v1/models", headers=headers).status_code == 200
    assert client.get("/monitoring/prometheus/metrics", headers=headers).status_code == 403
    response = client.get(MODEL)
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_no_value_appears_in_an_error_or_log(
    client: FlaskClient, record: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    marked = "MARKED8151815"
    encoded = base64.b64encode(marked.encode()).decode()
    rows = [
        {**record, "thal": marked},
        {**record, "thal": [marked]},
        {**record, "thal": [marked] * 2},
        {**record, "thal": {"b64": encoded}},
        {**record, "age": marked},
        {**record, "age": 8151815.25},
        {**record, "age": {marked: 1}},
        {**record, "age": [8151815.25, 8151815.5]},
        marked,
        [marked],
    ]
    bodies: list[Any] = [f'{{"instances": "{marked}'.encode(), [marked], marked, 8151815.25]
    for row in rows:
        bodies += [{"instances": [record, row]}, {"examples": [row]}, {"instances": row}]
        bodies += [{"inputs": row}, {"context": row, "examples": [{}]}, {"examples": row}]
        if isinstance(row, dict):
            bodies += [{"inputs": columns([row, row])}, {"context": row, "examples": [row]}]
    n_refused = 0
    for verb in VERBS:
        for body in bodies:
            response = ask(client, f"{MODEL}:{verb}", body)
            assert "8151815" not in response.text and encoded not in response.text
            n_refused += response.status_code == 400
    assert n_refused == len(VERBS) * len(bodies)
    assert caplog.records
    assert "8151815" not in caplog.text and encoded not in caplog.text


def test_the_examples_of_the_documentation(client: FlaskClient) -> None:
    page = (ROOT / "docs/protocols/tensorflow-serving.md").read_text()
    commands = re.findall(
        r"^curl -s http://127\.0\.0\.1:8080(\S+)(?: -d '([^']*)')?$", page, re.MULTILINE
    )
    assert len(commands) == page.count("curl -s") == 7
    for path, body in commands:
        response = ask(client, path, body.encode()) if body else client.get(path)
        assert response.status_code == 200, response.text


def test_a_table_of_one_column() -> None:
    """The name of the only input can be omitted."""
    for body in (
        b'{"instances": [63, [41]]}',
        b'{"instances": [{"age": 63}, {"age": [41]}]}',
        b'{"inputs": [63, [41]]}',
        b'{"inputs": {"age": [63, [41]]}}',
    ):
        assert read_tensors(body, ("age",), (), 10).records == [{"age": 63}, {"age": 41}]
    with pytest.raises(InvalidRecords):
        read_tensors(b'{"inputs": 63}', ("age",), (), 10)


TEXTS = st.text(st.characters(exclude_categories=()), max_size=4)  # with lone surrogates
SCALARS: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
NAMES = st.sampled_from(["age", "sex", "thal", "b64", "instances", "x/~"]) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "instances": VALUES,
        "inputs": VALUES,
        "examples": VALUES,
        "context": VALUES,
        "signature_name": st.sampled_from(["", "serving_default", "predict"]) | SCALARS,
    },
)


@given(data=st.data(), changed=st.dictionaries(NAMES, VALUES, max_size=3))
@settings(max_examples=n_examples(150), deadline=None)
def test_no_body_causes_a_server_error(
    app: Service, schema: Schema, data: Any, changed: Any
) -> None:
    good: dict[str, Any] = {column.name: column.example for column in schema.columns}
    rows = st.lists(st.just({**good, **changed}) | st.just(good) | VALUES, max_size=3)
    body = data.draw(
        BODIES
        | VALUES
        | st.builds(lambda r: {"instances": r}, rows)
        | st.builds(lambda r, c: {"examples": r, "context": c}, rows, VALUES)
        | st.just({"inputs": {**columns([good, good]), **changed}})
    )
    client = app.test_client()
    for verb in VERBS:
        # 501: a version without explanation data.
        assert ask(client, f"{MODEL}:{verb}", body).status_code in (200, 400, 501)


def routes() -> Iterator[str]:
    for prefix in (MODEL, f"{MODEL}/versions/1", f"{MODEL}/labels/current"):
        yield from (f"{prefix}:{verb}" for verb in VERBS)


@given(data=st.binary(max_size=40))
@settings(max_examples=n_examples(50), deadline=None)
def test_no_bytes_cause_a_server_error(app: Service, data: bytes) -> None:
    client = app.test_client()
    for path in routes():
        assert ask(client, path, data).status_code == 400
