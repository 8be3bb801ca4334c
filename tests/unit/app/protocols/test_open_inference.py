from __future__ import annotations

import gzip
import json
import logging
import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from app import Settings, create_app
from app.api_keys import new_entry
from model.artifacts import Artifact, Store
from model.schema import Schema
from pipelines.data import Table
from tests.conftest import n_examples
from tests.repository.test_parity import as_records

INFER = "/v2/models/cleveland/infer"
LENGTH = "Inference-Header-Content-Length"


def matrix(values: np.ndarray, datatype: str = "FP64", **more: Any) -> dict[str, Any]:
    """Return a request with one tensor for all columns; missing values are null."""
    data = [[None if math.isnan(v) else v for v in row] for row in values.tolist()]
    tensor = {"name": "x", "shape": list(values.shape), "datatype": datatype, "data": data}
    return {"inputs": [tensor], **more}


def tensors(table: Table, n: int, schema: Schema) -> dict[str, Any]:
    """Return a request with one tensor per column; thal and sex as strings."""
    inputs: list[dict[str, Any]] = []
    for index, column in enumerate(schema.columns):
        values = [None if math.isnan(v) else v for v in table.values[:n, index].tolist()]
        tensor = {"name": column.name, "shape": [n, 1], "datatype": "FP64", "data": values}
        if column.name in ("thal", "sex"):
            words = {level.code: level.aliases[0] for level in column.levels if level.aliases}
            strings = [None if v is None else words[int(v)] for v in values]
            tensor |= {"datatype": "BYTES", "shape": [n], "data": strings}
        inputs.append(tensor)
    return {"inputs": inputs}


def predicted(client: FlaskClient, records: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    answers = client.post("/predict", json=records).get_json()["predictions"]
    return [a["probability"] for a in answers], [a["label"] for a in answers]


def outputs(response: TestResponse) -> dict[str, list[Any]]:
    assert response.status_code == 200, response.text
    return {output["name"]: output["data"] for output in response.get_json()["outputs"]}


def refused(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    content = response.get_json()
    assert (response.status_code, content["type"]) == (status, f"/problems/{code}"), response.text
    assert content["status"] == status and content["error"]
    return content


def test_every_format_gives_the_predictions_of_predict(
    client: FlaskClient, table: Table, schema: Schema
) -> None:
    """All 303 patients, with missing values: equal digits in JSON, equal bits in binary."""
    probabilities, labels = predicted(client, as_records(table))
    values = table.values
    for content in (matrix(values), matrix(values, "FP32"), tensors(table, len(values), schema)):
        actual = outputs(client.post(INFER, json=content))
        assert actual == {"probability": probabilities, "label": labels}
    bare_nan = json.dumps(matrix(values)).replace("null", "NaN")
    assert outputs(client.post(INFER, data=bare_nan))["probability"] == probabilities
    raw = client.post(INFER, data=values.astype("<f4").tobytes(), headers={LENGTH: "0"})
    n_json = int(raw.headers[LENGTH])
    json_part, binary_part = json.loads(raw.data[:n_json]), raw.data[n_json:]
    assert [o["name"] for o in json_part["outputs"]] == ["probability", "label"]
    assert json_part["outputs"][0]["parameters"] == {"binary_data_size": 4 * 303}
    bits = np.frombuffer(binary_part[: 4 * 303], "<f4")
    assert bits.tolist() == probabilities


def test_batches_of_any_size_agree(client: FlaskClient, table: Table) -> None:
    whole_table = outputs(client.post(INFER, json=matrix(table.values)))["probability"]
    for n in (1, 2, 7, 100):
        for start in range(0, 303, n) if n > 2 else range(0, 40, n):
            part = client.post(INFER, json=matrix(table.values[start : start + n]))
            actual, expected = outputs(part)["probability"], whole_table[start : start + n]
            np.testing.assert_allclose(actual, expected, atol=1e-6, rtol=0)


def test_integers_levels_and_words(client: FlaskClient, schema: Schema, record: Any) -> None:
    """Each column has a datatype that can hold it; shapes [N] and [N, 1], flat and nested."""
    probabilities, _ = predicted(client, [record, record])
    kinds = {"age": "UINT8", "trestbps": "INT16", "chol": "UINT64", "thalach": "INT32"}
    inputs = []
    for column in schema.columns:
        datatype = kinds.get(column.name, "FP32" if column.name == "oldpeak" else "INT8")
        value = column.example if datatype == "FP32" else int(column.example)
        inputs += [
            {"name": column.name, "shape": [2, 1], "datatype": datatype, "data": [[value]] * 2}
        ]
    # JSON has the digits 1.2, so the value is not rounded to float32 before validation.
    assert outputs(client.post(INFER, json={"inputs": inputs}))["probability"] == probabilities
    word = {
        "name": "thal",
        "shape": [2, 1],
        "datatype": "BYTES",
        "data": [["normal"], [" NORMAL "]],
    }
    inputs[-1] = word
    assert outputs(client.post(INFER, json={"inputs": inputs}))["probability"] == probabilities


def test_a_complete_response(client: FlaskClient, table: Table) -> None:
    content = matrix(table.values[:1], id="urn:42", outputs=[{"name": "label"}])
    actual = client.post(INFER, json=content).get_json()
    _, labels = predicted(client, as_records(table)[:1])
    label = {"name": "label", "shape": [1, 1], "datatype": "BYTES", "data": labels}
    assert actual == {
        "model_name": "cleveland",
        "model_version": "1",
        "id": "urn:42",
        "outputs": [{**label, "parameters": {"content_type": "str"}}],
    }
    response = client.post(INFER, json=matrix(table.values[:1], parameters={"content_type": "np"}))
    assert [o["name"] for o in response.get_json()["outputs"]] == ["probability"]
    assert "id" not in response.get_json()


def test_problems_have_row_and_column_and_no_value(
    client: FlaskClient, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    values = table.values[:3].copy()
    values[0, 0], values[2, 4] = 8151815.25, -8151815.25
    values[1, 1] = math.nan
    for datatype in ("FP64", "FP32"):
        response = client.post(INFER, json=matrix(values, datatype))
        content = refused(response, 400, "invalid_records")
        assert content["detail"] == "3 problems in 3 of 3 records"
        assert content["error"] == "row 0: age must be between 1 and 120 years (and 2 more)"
        assert [(e["row"], e["field"], e["code"]) for e in content["errors"]] == [
            (0, "age", "out_of_range"),
            (1, "sex", "null_not_allowed"),
            (2, "chol", "out_of_range"),
        ]
        assert not any("pointer" in error for error in content["errors"])
        assert "8151815" not in response.text + caplog.text
    binary = client.post(INFER, data=values.astype("<f4").tobytes(), headers={LENGTH: "0"})
    assert refused(binary, 400, "invalid_records")["errors"] == content["errors"]


def test_no_value_appears_in_a_response_or_log(
    client: FlaskClient, table: Table, schema: Schema, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    good = tensors(table, 1, schema)["inputs"]
    marked = "MARKED8151815"

    def with_age(**changes: Any) -> dict[str, Any]:
        return {"inputs": [{**good[0], **changes}, *good[1:]]}

    binary = marked.encode()
    bodies: list[Any] = [
        *(
            with_age(data=[bad])
            for bad in (marked, 8151815.25, [8151815], {marked: 8151815}, True, 1e999)
        ),
        with_age(datatype=marked),
        with_age(shape=[8151815]),
        with_age(data=[8151815, 8151815]),
        with_age(datatype="BYTES", data=[marked]),
        with_age(datatype="BOOL", data=[True]),
        with_age(datatype="INT8", data=[8151815]),
        {"inputs": [*good[:-1], {**good[-1], "data": [marked]}]},
        {"inputs": marked},
        marked,
        [marked],
        {"inputs": good, "parameters": {"binary_data_output": marked}},
    ]
    n_refused = 0
    for content in bodies:
        response = client.post(INFER, json=content)
        assert response.status_code == 400, response.text
        assert "8151815" not in response.text.replace("requires 8151815 elements", "")
        n_refused += 1
    for header in ("0", "5", "99999", marked):
        response = client.post(INFER, data=binary, headers={LENGTH: header})
        assert response.status_code == 400 and "8151815" not in response.text
    client.post(f"/v2/models/{marked}/infer", data=marked)
    client.post(f"/v2/models/cleveland/versions/{marked}/infer", data=marked)
    client.post(f"/v2/nothing/{marked}", data=marked)
    assert n_refused == len(bodies) and caplog.records and "8151815" not in caplog.text


def test_absent_and_unknown_tensors(client: FlaskClient, table: Table, schema: Schema) -> None:
    inputs = tensors(table, 2, schema)["inputs"]
    inputs[-1]["name"] = "thall"
    content = refused(client.post(INFER, json={"inputs": inputs}), 400, "invalid_records")
    assert [(e["field"], e["code"], e.get("did_you_mean")) for e in content["errors"]] == [
        ("thal", "absent", None),
        ("thall", "unknown_column", "thal"),
    ]


def test_invalid_requests(client: FlaskClient) -> None:
    for data, code in (
        (b"", "empty_body"),
        (b"{", "broken_json"),
        (b"\xff", "not_utf8"),
        (b"[" * 99, "too_deep"),
        (b"{}", "bad_request"),
        (b"[]", "bad_request"),
        (b"3", "bad_request"),
        (b'{"\\ud800": 1}', "bad_request"),
        (b'{"inputs": []}', "invalid_tensor"),
    ):
        refused(client.post(INFER, data=data), 400, code)
    empty = {"name": "x", "shape": [0, 13], "datatype": "FP32", "data": []}
    content = refused(client.post(INFER, json={"inputs": [empty]}), 400, "invalid_records")
    assert content["errors"][0]["code"] == "no_records"


def test_limits(trained: Store, table: Table) -> None:
    configured = Settings(model_store=trained.folder, max_records=2, max_body_bytes=10_000)
    client = create_app(configured).test_client()
    content = refused(client.post(INFER, json=matrix(table.values[:3])), 400, "invalid_records")
    assert content["errors"][0]["code"] == "too_many_records"
    refused(client.post(INFER, data=b" " * 10_001), 413, "body_too_large")
    refused(
        client.post(INFER, data=b"", headers={"Content-Encoding": "br"}),
        415,
        "unsupported_media_type",
    )


@pytest.mark.parametrize(
    ("coding", "decompress"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)]
)
def test_compressed_requests_and_responses(
    client: FlaskClient, table: Table, coding: str, decompress: Callable[[bytes], bytes]
) -> None:
    plain = client.post(INFER, json=matrix(table.values))
    assert plain.headers["Vary"] == "Accept-Encoding" and "Content-Encoding" not in plain.headers
    compress = gzip.compress if coding == "gzip" else zlib.compress
    body = compress(json.dumps(matrix(table.values)).encode())
    headers = {"Accept-Encoding": coding, "Content-Encoding": coding}
    response = client.post(INFER, data=body, headers=headers)
    assert response.headers["Content-Encoding"] == coding
    assert response.headers["Vary"] == "Accept-Encoding"
    assert len(response.data) < len(plain.data) / 2
    assert decompress(response.data) == plain.data
    short_response = client.post(
        INFER, json=matrix(table.values[:1]), headers={"Accept-Encoding": coding}
    )
    assert "Content-Encoding" not in short_response.headers and outputs(short_response)
    uncompressed = client.post(
        INFER, json=matrix(table.values), headers={"Accept-Encoding": f"{coding};q=0"}
    )
    assert uncompressed.data == plain.data


def test_health_and_metadata(client: FlaskClient, schema: Schema) -> None:
    assert client.get("/v2/health/live").get_json() == {"live": True}
    assert client.get("/v2/health/ready").get_json() == {"ready": True}
    assert client.get("/v2/models").get_json() == {"models": ["cleveland"]}
    server = client.get("/v2").get_json()
    assert set(server) == {"name", "version", "extensions"}
    assert "binary_tensor_data" in server["extensions"]
    for path in ("/v2/models/cleveland", "/v2/models/cleveland/versions/1"):
        assert client.get(path + "/ready").get_json() == {"name": "cleveland", "ready": True}
        metadata = client.get(path).get_json()
        assert (metadata["name"], metadata["versions"]) == ("cleveland", ["1"])
        assert [i["name"] for i in metadata["inputs"]] == list(schema.column_names)
        assert [(o["name"], o["datatype"], o["shape"]) for o in metadata["outputs"]] == [
            ("probability", "FP32", [-1, 1]),
            ("label", "BYTES", [-1, 1]),
        ]
        parameters = [metadata["parameters"], *(i["parameters"] for i in metadata["inputs"])]
        assert all(isinstance(v, str | int | float) for part in parameters for v in part.values())


def test_a_request_built_from_the_metadata_is_valid(
    client: FlaskClient, record: dict[str, Any]
) -> None:
    """A client needs nothing but the metadata."""
    metadata = client.get("/v2/models/cleveland").get_json()
    inputs = [
        {"name": i["name"], "shape": [1, 1], "datatype": i["datatype"], "data": [record[i["name"]]]}
        for i in metadata["inputs"]
    ]
    response_outputs = outputs(client.post(INFER, json={"inputs": inputs}))
    assert list(response_outputs) == [o["name"] for o in metadata["outputs"]]


def test_unknown_names_and_versions(client: FlaskClient, table: Table) -> None:
    for path in (
        "/v2/models/nope",
        "/v2/models/nope/ready",
        "/v2/models/cleveland/versions/9",
        "/v2/models/cleveland/versions/9/ready",
        "/v2/models/cleveland/versions/canary",
        "/v2/models/cleveland/versions/%ff",
    ):
        response = client.get(path)
        refused(response, 404, "not_found")
        assert response.mimetype == "application/json"
    for path in ("/v2/models/cleveland/stats", "/v2/nothing"):
        refused(client.get(path), 404, "not_found")
    for path in ("/v2/models/nope/infer", "/v2/models/cleveland/versions/9/infer"):
        refused(client.post(path, json=matrix(table.values[:1])), 404, "not_found")
    assert client.get(INFER).status_code == 405


def test_without_a_model_it_is_live_and_not_ready(tmp_path: Any) -> None:
    client = create_app(Settings(model_store=tmp_path)).test_client()
    assert client.get("/v2/health/live").status_code == 200
    for path in ("/v2/health/ready", "/v2/models/cleveland/ready", "/v2/models/cleveland"):
        content = refused(client.get(path), 503, "not_ready")
        assert content.get("ready", False) is False and "no version is current" in content["error"]
    assert client.get("/v2/models").get_json() == {"models": []}
    assert client.post("/v2/repository/index").get_json() == []


@pytest.fixture
def two_versions(store: Store, artifact: Artifact) -> Store:
    """Return a store with two versions; the first is current."""
    store.add(artifact.manifest, artifact.files)
    return store


def test_two_versions_and_a_label(two_versions: Store, table: Table) -> None:
    configured = Settings(
        model_store=two_versions.folder, versions=("all",), version_labels={"canary": "2"}
    )
    client = create_app(configured).test_client()
    assert client.get("/v2/models/cleveland").get_json()["versions"] == ["1", "2"]
    for name, version in (("1", "1"), ("2", "2"), ("canary", "2"), ("current", "1")):
        path = f"/v2/models/cleveland/versions/{name}/infer"
        content = client.post(path, json=matrix(table.values[:1])).get_json()
        assert content["model_version"] == version


def managed(store: Store) -> tuple[FlaskClient, dict[str, str]]:
    key, entry = new_entry("operator", ["manage", "monitor", "predict"])
    app = create_app(Settings(model_store=store.folder, api_keys=entry, reload_seconds=3600))
    return app.test_client(), {"X-API-Key": key}


def states(client: FlaskClient, headers: dict[str, str], **body: Any) -> list[tuple[str, str]]:
    entries = client.post("/v2/repository/index", json=body, headers=headers).get_json()
    assert all(set(entry) == {"name", "version", "state", "reason"} for entry in entries)
    assert all(bool(e["reason"]) is (e["state"] == "UNAVAILABLE") for e in entries)
    return [(entry["version"], entry["state"]) for entry in entries]


def test_versions_are_loaded_and_unloaded(two_versions: Store, table: Table) -> None:
    client, key = managed(two_versions)

    def ask(verb: str, **parameters: Any) -> TestResponse:
        path = f"/v2/repository/models/cleveland/{verb}"
        return client.post(path, json={"parameters": parameters}, headers=key)

    assert states(client, key) == [("1", "READY"), ("2", "UNAVAILABLE")]
    assert states(client, key, ready=True) == [("1", "READY")]
    assert ask("load", version="2").status_code == 200
    assert states(client, key) == [("1", "READY"), ("2", "READY")]
    path = "/v2/models/cleveland/versions/2/infer"
    prediction = client.post(path, json=matrix(table.values[:1]), headers=key).get_json()
    assert prediction["model_version"] == "2"
    assert ask("unload", version=2).status_code == 200
    assert client.get("/v2/models/cleveland/versions/2/ready").status_code == 404
    refused(ask("unload", version="1"), 409, "version_in_use")
    assert client.get("/v2/health/ready").status_code == 200

    assert ask("unload").status_code == 200
    content = refused(client.get("/v2/health/ready"), 503, "not_ready")
    assert "was unloaded" in content["error"]
    refused(client.post(INFER, json={}, headers=key), 503, "not_ready")
    assert states(client, key) == [("1", "UNAVAILABLE"), ("2", "UNAVAILABLE")]
    assert ask("load", unload_dependents=False).status_code == 200
    assert states(client, key) == [("1", "READY"), ("2", "UNAVAILABLE")]


def test_failed_loads(two_versions: Store) -> None:
    client, key = managed(two_versions)
    graph = two_versions.path("2") / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    load = "/v2/repository/models/cleveland/load"
    for body, status, code in (
        ({"parameters": {"version": "2"}}, 503, "not_ready"),
        ({"parameters": {"version": "9"}}, 404, "not_found"),
        ({"parameters": {"version": "../1"}}, 404, "not_found"),
        ({"parameters": {"version": "\ud800"}}, 404, "not_found"),
        ({"parameters": {"version": True}}, 400, "bad_request"),
        ({"parameters": {"config": "{}"}}, 400, "bad_request"),
        ({"parameters": {"file:1/model.onnx": ""}}, 400, "bad_request"),
        ({"parameters": 3}, 400, "bad_request"),
        ([], 400, "bad_request"),
        ({"\ud800": 1}, 400, "bad_request"),
    ):
        refused(client.post(load, json=body, headers=key), status, code)
    refused(client.post(load, data="{", headers=key), 400, "broken_json")
    refused(client.post(load.replace("cleveland", "nope"), headers=key), 404, "not_found")
    assert client.get("/readyz").get_json() == {"ready": True, "version": "1"}


def test_loading_needs_a_key_with_the_scope_manage(
    client: FlaskClient, two_versions: Store
) -> None:
    for verb in ("load", "unload"):
        path = f"/v2/repository/models/cleveland/{verb}"
        refused(client.post(path), 403, "management_off")
        refused(managed(two_versions)[0].post(path), 401, "unauthenticated")
    assert client.post("/v2/repository/index").status_code == 200
    assert client.get("/v2/health/ready").status_code == 200


_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-300, 300),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from([10**30, -(10**299), "\ud800", "fixed"]),
)
_anything = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
_shapes = st.one_of(st.lists(st.integers(-1, 14), max_size=3), st.just([1, 13]), _anything)
_datatypes = st.sampled_from(
    ["FP32", "FP64", "FP16", "BF16", "INT8", "UINT64", "BOOL", "BYTES", "?"]
)
_sizes = st.one_of(st.none(), st.integers(-1, 120), _anything)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    names = st.sampled_from(["age", "sex", "thal", "x", "\ud800"])
    inputs = []
    for _ in range(draw(st.integers(0, 3))):
        tensor: dict[str, Any] = {
            "name": draw(names),
            "shape": draw(_shapes),
            "datatype": draw(_datatypes),
        }
        if draw(st.booleans()):
            tensor["data"] = draw(
                st.one_of(_anything, st.lists(_scalars, min_size=13, max_size=13))
            )
        if draw(st.booleans()):
            tensor["parameters"] = {
                "binary_data_size": draw(_sizes),
                "content_type": draw(st.sampled_from(["pd_json", "np", 3])),
            }
        inputs.append(tensor)
    content: dict[str, Any] = {"inputs": draw(st.one_of(st.just(inputs), _anything))}
    for name in draw(st.lists(st.sampled_from(["id", "outputs", "parameters", "other"]))):
        content[name] = draw(_anything)
    return content


@settings(
    max_examples=n_examples(400),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(requests(), st.binary(max_size=120), st.sampled_from(["", "exact", "0", "7"]))
def test_no_request_causes_a_server_error(
    client: FlaskClient, content: dict[str, Any], rest: bytes, header: str
) -> None:
    head = json.dumps(content).encode()
    length = str(len(head)) if header == "exact" else header
    body = head + (rest if header else b"")
    response = client.post(INFER, data=body, headers={LENGTH: length} if length else {})
    assert response.status_code in (200, 400), response.text
    if response.status_code != 200:
        assert response.get_json()["error"]


@settings(
    max_examples=n_examples(200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(max_size=200), st.text(max_size=5))
def test_no_bytes_cause_a_server_error(client: FlaskClient, body: bytes, header: str) -> None:
    headers = (
        {LENGTH: header.encode("latin-1", "replace").decode("latin-1")}
        if header.isprintable()
        else {}
    )
    for path in (INFER, "/v2/repository/index"):
        response = client.post(path, data=body, headers=headers)
        assert response.status_code in (200, 400), response.text


HUGE = "1" + "0" * 400


FLOATS = ("FP16", "FP32", "FP64", "BF16")


def with_huge(record: dict[str, Any], name: str, datatype: str, huge: str) -> list[dict[str, Any]]:
    """Return one tensor per column; one of them holds a huge number."""
    inputs = []
    for column, value in record.items():
        tensor: dict[str, Any] = {
            "name": column,
            "shape": [1, 1],
            "datatype": "FP64",
            "data": [value],
        }
        if column == name:
            tensor |= {"datatype": datatype, "data": [int(huge)]}
        if column == name and datatype == "BYTES":
            tensor |= {"data": [huge], "parameters": {"content_type": "pd_json"}}
        inputs.append(tensor)
    return inputs


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("form", ["flat", "nested", "column", "with null"])
@pytest.mark.parametrize("datatype", FLOATS)
def test_an_integer_beyond_the_float_range_is_not_finite(
    client: FlaskClient, record: dict[str, Any], datatype: str, form: str, sign: str
) -> None:
    names = list(record)
    data: Any = list(record.values())
    data[names.index("chol")] = int(sign + HUGE)
    if form == "with null":
        data[names.index("ca")] = None
    if form == "nested":
        data = [data]
    inputs = [{"name": "x", "shape": [1, len(names)], "datatype": datatype, "data": data}]
    if form == "column":
        inputs = with_huge(record, "chol", datatype, sign + HUGE)
    content = refused(client.post(INFER, json={"inputs": inputs}), 400, "invalid_records")
    (problem,) = content["errors"]
    assert (problem["row"], problem["field"], problem["code"]) == (0, "chol", "not_finite")
    assert "0" * 20 not in str(content)


@pytest.mark.parametrize(
    ("name", "datatype", "kind", "prefix"),
    [
        ("age", "INT64", "invalid_tensor", "input age"),
        ("age", "UINT64", "invalid_tensor", "input age"),
        ("age", "BOOL", "invalid_tensor", "input age"),
        ("age", "BYTES", "invalid_records", "row 0: age must be a finite number"),
        ("sex", "BYTES", "invalid_records", "row 0: sex must be one of"),
        ("sex", "FP64", "invalid_records", "row 0: sex must be one of"),
    ],
)
@pytest.mark.parametrize("huge", [HUGE, "-" + HUGE, "1" * 4_300])
def test_an_integer_beyond_the_float_range_in_other_tensors(
    client: FlaskClient,
    record: dict[str, Any],
    name: str,
    datatype: str,
    kind: str,
    prefix: str,
    huge: str,
) -> None:
    inputs = with_huge(record, name, datatype, huge)
    content = refused(client.post(INFER, json={"inputs": inputs}), 400, kind)
    assert content["error"].startswith(prefix)


@pytest.mark.parametrize("huge", [HUGE, str(2**64), "1" * 4_300, "9" * 20_000])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            INFER,
            '{"inputs": [{"name": "x", "shape": [HUGE, 13], "datatype": "FP32", "data": [1]}]}',
        ),
        (
            INFER,
            '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "parameters":'
            ' {"binary_data_size": HUGE}}]}',
        ),
        (
            INFER,
            '{"inputs": [{"name": "age", "shape": [2], "datatype": "INT64",'
            ' "data": [HUGE, null]}]}',
        ),
        ("/predict", '{"age": HUGE, "sex": 1}'),
        ("/predict", '{"sex": HUGE}'),
        ("/predict", '[{"age": HUGE}, {"sex": HUGE}]'),
        ("/predict", '{"instances": [{"age": HUGE}], "explain": HUGE}'),
        ("/v2/repository/index", '{"parameters": {"version": HUGE}, "ready": HUGE}'),
        ("/v1/models/cleveland:predict", '{"instances": [{"age": HUGE}]}'),
        ("/v1/models/cleveland:predict", '{"inputs": {"age": [HUGE], "sex": HUGE}}'),
        ("/v1/models/cleveland:classify", '{"context": {"age": HUGE}, "examples": [{}]}'),
        ("/invocations", '{"inputs": {"age": [HUGE]}}'),
        ("/invocations", '{"instances": [[HUGE]]}'),
        ("/invocations", '{"dataframe_split": {"columns": ["age"], "data": [[HUGE]]}}'),
    ],
)
def test_no_route_fails_on_an_integer_beyond_the_float_range(
    client: FlaskClient, path: str, body: str, huge: str
) -> None:
    content = body.replace("HUGE", huge)
    response = client.post(path, data=content, content_type="application/json")
    assert response.status_code in (400, 422), response.text
    assert response.get_json()["error"]
