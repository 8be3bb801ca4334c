"""Triton's Python client, with its default settings, against the real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from app.api_keys import new_entry
from model.artifacts import Store
from model.schema import Schema
from pipelines.data import Table
from tests.repository.test_parity import as_records

triton = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")
InferenceServerException = pytest.importorskip("tritonclient.utils").InferenceServerException


@pytest.fixture
def connected(trained: Store, serve: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def start(**settings: str) -> Iterator[tuple[Any, Any]]:
        with serve(trained.folder, **settings) as server:
            address = server.address.removeprefix("http://")
            with triton.InferenceServerClient(address) as client:
                server.wait_until(client.is_server_ready, "the model")
                yield server, client

    return start


def matrix_input(values: np.ndarray, datatype: str, *, binary: bool = True) -> list[Any]:
    tensor = triton.InferInput("input-0", list(values.shape), datatype)
    return [tensor.set_data_from_numpy(values, binary_data=binary)]


def column_inputs(table: Table, schema: Schema, *, binary: bool = True) -> list[Any]:
    """Return FP64 inputs, missing as NaN; thal as an object array, missing as an empty string."""
    inputs = []
    for index, column in enumerate(schema.columns):
        values: np.ndarray = table.values[:, index].astype(np.float64).reshape(-1, 1)
        datatype = "FP64"
        if column.name == "thal":
            words = {float(lv.code): lv.aliases[0] for lv in column.levels if lv.aliases}
            texts = [words.get(v, "") for v in values[:, 0].tolist()]
            values, datatype = np.array(texts, dtype=np.object_).reshape(-1, 1), "BYTES"
        tensor = triton.InferInput(column.name, list(values.shape), datatype)
        inputs.append(tensor.set_data_from_numpy(values, binary_data=binary))
    return inputs


def test_predictions_equal_those_of_predict(
    connected: Callable[..., Any], table: Table, schema: Schema
) -> None:
    """Every combination of inputs, outputs and compression gives the predictions of /predict."""
    with connected() as (server, client):
        answers = server.post("/predict", as_records(table))[1]["predictions"]
        probabilities = [[a["probability"]] for a in answers]
        labels = [a["label"] for a in answers]

        def check(result: Any, labelled: type = bytes) -> None:
            actual = result.as_numpy("probability")
            assert actual.dtype == np.float32 and actual.tolist() == probabilities
            words = result.as_numpy("label")[:, 0].tolist()
            assert all(type(word) is labelled for word in words)
            assert [w.decode() if isinstance(w, bytes) else w for w in words] == labels

        f32, f64 = table.values.astype(np.float32), table.values.astype(np.float64)
        requests = [
            matrix_input(f32, "FP32"),
            matrix_input(f64, "FP64"),
            column_inputs(table, schema),
            matrix_input(f64, "FP64", binary=False),
            column_inputs(table, schema, binary=False),
        ]
        for inputs in requests:
            check(client.infer("cleveland", inputs))
            for binary in (True, False):
                outputs = [
                    triton.InferRequestedOutput("label", binary_data=binary),
                    triton.InferRequestedOutput("probability", binary_data=binary),
                ]
                result = client.infer("cleveland", inputs, outputs=outputs, request_id="r-1")
                check(result, bytes if binary else str)
                content = result.get_response()
                assert (content["id"], content["model_version"]) == ("r-1", "1")
                assert [output["name"] for output in content["outputs"]] == ["label", "probability"]
        mixed = [
            triton.InferRequestedOutput("probability", binary_data=False),
            triton.InferRequestedOutput("label"),
        ]
        check(client.infer("cleveland", requests[0], outputs=mixed))
        for request_coding in ("gzip", "deflate", None):
            for response_coding in ("gzip", "deflate", None):
                check(
                    client.infer(
                        "cleveland",
                        requests[2],
                        model_version="1",
                        request_compression_algorithm=request_coding,
                        response_compression_algorithm=response_coding,
                    )
                )
        only = [triton.InferRequestedOutput("label")]
        assert client.infer("cleveland", requests[0], outputs=only).as_numpy("probability") is None


def test_health_metadata_and_repository(connected: Callable[..., Any], schema: Schema) -> None:
    key, entry = new_entry("operator", ["manage", "monitor", "predict"])
    headers = {"X-API-Key": key}
    with connected(API_KEYS=entry) as (_, client):
        assert client.is_server_live() and client.is_server_ready()
        assert client.is_model_ready("cleveland") and client.is_model_ready("cleveland", "1")
        assert not client.is_model_ready("nope") and not client.is_model_ready("cleveland", "9")
        assert "binary_tensor_data" in client.get_server_metadata(headers=headers)["extensions"]
        for version in ("", "1"):
            metadata = client.get_model_metadata("cleveland", version, headers=headers)
            assert [i["name"] for i in metadata["inputs"]] == list(schema.column_names)
        (index_entry,) = client.get_model_repository_index(headers=headers)
        assert (index_entry["name"], index_entry["version"], index_entry["state"]) == (
            "cleveland",
            "1",
            "READY",
        )
        client.unload_model("cleveland", headers=headers)
        assert not client.is_server_ready() and not client.is_model_ready("cleveland")
        client.load_model("cleveland", headers=headers)
        assert client.is_server_ready() and client.is_model_ready("cleveland")
        with pytest.raises(InferenceServerException, match="send an API key"):
            client.get_model_repository_index()
        with pytest.raises(InferenceServerException, match="from the store only"):
            client.load_model("cleveland", headers=headers, config="{}")


def test_errors_reach_the_client(connected: Callable[..., Any], table: Table) -> None:
    values = table.values[:2].astype(np.float32)
    wrong = values.copy()
    wrong[1, 0] = 8151815
    with connected() as (_, client):
        for name, inputs, more, status, message in (
            ("nope", matrix_input(values, "FP32"), {}, "404", "the model is cleveland"),
            (
                "cleveland",
                matrix_input(values, "FP32"),
                {"model_version": "9"},
                "404",
                "versions are: 1",
            ),
            ("cleveland", matrix_input(values[:, :5], "FP32"), {}, "400", r"must be \[N, 13\]"),
            (
                "cleveland",
                matrix_input(wrong, "FP32"),
                {},
                "400",
                "row 1: age must be between 1 and 120",
            ),
            (
                "cleveland",
                matrix_input(wrong, "FP32", binary=False),
                {},
                "400",
                "row 1: age must be",
            ),
            (
                "cleveland",
                matrix_input(values, "FP32"),
                {"outputs": [triton.InferRequestedOutput("risk")]},
                "400",
                "unknown output risk",
            ),
        ):
            with pytest.raises(InferenceServerException, match=message) as caught:
                client.infer(name, inputs, **more)
            assert caught.value.status() == status and "8151815" not in caught.value.message()
        with pytest.raises(
            InferenceServerException, match="configure an API key with the scope manage"
        ):
            client.load_model("cleveland")
