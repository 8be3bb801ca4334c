"""One scoring path: every route gives the same probabilities for a batch."""

from __future__ import annotations

import csv
import io
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from model.schema import Schema
from pipelines.data import Table
from tests.repository.test_parity import as_records

Records = list[dict[str, Any]]
JSON = "application/json"


def ask(client: FlaskClient, path: str, content: Any, mimetype: str = JSON, **headers: str) -> Any:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    response = client.post(path, data=body, content_type=mimetype, headers=headers)
    assert response.status_code == 200, response.text[:500]
    return response


def predict(client: FlaskClient, records: Records, path: str = "/predict") -> list[float]:
    content = ask(client, path, {"instances": records}).get_json()
    return [prediction["probability"] for prediction in content["predictions"]]


def explained(client: FlaskClient, records: Records) -> list[float]:
    parts = (records[i : i + 100] for i in range(0, len(records), 100))
    return [p for part in parts for p in predict(client, part, "/explain")]


def tensorflow_rows(client: FlaskClient, records: Records) -> list[float]:
    content = ask(client, "/v1/models/cleveland:predict", {"instances": records}).get_json()
    return [p for (p,) in content["predictions"]]


def with_intervals(client: FlaskClient, records: Records) -> list[float]:
    content = ask(client, "/predict", {"instances": records, "interval": True}).get_json()
    assert all("interval" in prediction for prediction in content["predictions"])
    return [prediction["probability"] for prediction in content["predictions"]]


def columns_of(records: Records) -> dict[str, list[Any]]:
    return {name: [record[name] for record in records] for name in records[0]}


def tensorflow_columns(client: FlaskClient, records: Records) -> list[float]:
    path = "/v1/models/cleveland/versions/1:predict"
    return [p for (p,) in ask(client, path, {"inputs": columns_of(records)}).get_json()["outputs"]]


def tensorflow_regress(client: FlaskClient, records: Records) -> list[float]:
    path = "/v1/models/cleveland/labels/current:regress"
    return ask(client, path, {"examples": records}).get_json()["results"]


def tensorflow_classify(client: FlaskClient, records: Records) -> list[float]:
    content = ask(client, "/v1/models/cleveland:classify", {"examples": records}).get_json()
    return [dict(labels)["disease"] for labels in content["results"]]


def first_output(content: Any) -> list[float]:
    (output,) = (o for o in content["outputs"] if o["name"] == "probability")
    return output["data"]


def tensors_by_column(client: FlaskClient, records: Records) -> list[float]:
    inputs = [
        {"name": name, "shape": [len(records), 1], "datatype": "FP64", "data": data}
        for name, data in columns_of(records).items()
    ]
    return first_output(ask(client, "/v2/models/cleveland/infer", {"inputs": inputs}).get_json())


def to_matrix(records: Records) -> np.ndarray:
    rows = [[np.nan if v is None else v for v in record.values()] for record in records]
    return np.array(rows, dtype="<f4")


def tensor_in_bytes(client: FlaskClient, records: Records) -> list[float]:
    """Use the binary extension for the request and the response."""
    data = to_matrix(records).tobytes()
    tensor = {
        "name": "x",
        "shape": [len(records), 13],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(data)},
    }
    content = {
        "inputs": [tensor],
        "outputs": [{"name": "probability", "parameters": {"binary_data": True}}],
    }
    head = json.dumps(content).encode()
    response = ask(
        client,
        "/v2/models/cleveland/versions/1/infer",
        head + data,
        "application/octet-stream",
        **{"Inference-Header-Content-Length": str(len(head))},
    )
    n_bytes = int(response.headers["Inference-Header-Content-Length"])
    return list(struct.unpack(f"<{len(records)}f", response.data[n_bytes:]))


def invocations(client: FlaskClient, content: Any, mimetype: str = JSON) -> list[float]:
    return ask(client, "/invocations", content, mimetype).get_json()["predictions"]


def dataframe_split(client: FlaskClient, records: Records) -> list[float]:
    data = [list(record.values()) for record in records]
    return invocations(client, {"dataframe_split": {"columns": list(records[0]), "data": data}})


def csv_with_header(client: FlaskClient, records: Records) -> list[float]:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    return invocations(client, text.getvalue().encode(), "text/csv")


ROUTES: list[Callable[[FlaskClient, Records], list[float]]] = [
    explained,
    with_intervals,
    tensorflow_rows,
    tensorflow_columns,
    tensorflow_regress,
    tensorflow_classify,
    tensors_by_column,
    tensor_in_bytes,
    dataframe_split,
    csv_with_header,
    lambda client, records: invocations(client, {"dataframe_records": records}),
    lambda client, records: invocations(client, {"instances": records}),
    lambda client, records: invocations(client, {"inputs": columns_of(records)}),
]


@pytest.fixture
def patients(table: Table) -> Records:
    return as_records(table)


@pytest.mark.parametrize("route", ROUTES)
def test_the_same_batch_gives_the_same_probabilities(
    client: FlaskClient, patients: Records, route: Callable[[FlaskClient, Records], list[float]]
) -> None:
    """All are identical except those of explanations, which need several requests."""
    expected = predict(client, patients)
    actual = route(client, patients)
    if route is explained:
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)
    else:
        assert actual == expected


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_batches_of_other_sizes_agree(client: FlaskClient, patients: Records, size: int) -> None:
    expected = predict(client, patients)
    parts = (patients[i : i + size] for i in range(0, len(patients), size))
    actual = [probability for part in parts for probability in predict(client, part)]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


def test_words_and_codes_are_the_same(
    client: FlaskClient, patients: Records, schema: Schema
) -> None:
    words = {
        (column.name, float(level.code)): level.aliases[0].upper()
        for column in schema.columns
        for level in column.levels
        if level.aliases
    }
    with_words = [{n: words.get((n, v), v) for n, v in patient.items()} for patient in patients]
    assert predict(client, with_words) == predict(client, patients)
    assert tensorflow_rows(client, with_words) == predict(client, patients)
