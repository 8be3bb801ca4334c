"""Parity of training and serving: pipeline, saved weights and HTTP give the same probabilities."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.artifacts import Store
from pipelines.data import Table
from tests.conftest import ROOT

# A separate process that fits the ColumnTransformer again and loads the saved Keras weights. It
# uses neither the graph nor the imputation of the service.
FRESH = """
import json, sys
import numpy as np
from pathlib import Path
from model.artifacts.artifact import read_artifact
from model.training import predict
from pipelines.data import build_preprocessing
from pipelines.training.reload import load_keras_network
from pipelines.data import read_table
artifact = read_artifact(Path(sys.argv[1]))
table = read_table(Path("data/cleveland.csv"), artifact.schema)
preprocessing = build_preprocessing(artifact.schema)
features = preprocessing.fit_transform(table.frame)
network = load_keras_network(artifact)
probabilities = predict(network, features)
mean, spread = features.mean(axis=0), np.cov(features.T, bias=True) + 10 / 303 * np.eye(29)
columns = [name.split("=")[0] for name in preprocessing.get_feature_names_out()]
missing = np.isnan(table.values)[:, [list(table.frame).index(name) for name in columns]]
kernel, bias, out, offset = [weights.astype(float) for weights in network.get_weights()]
for row in np.flatnonzero(missing.any(axis=1)):
    m, o, x = missing[row], ~missing[row], features[row]
    slopes = np.linalg.solve(spread[o][:, o], spread[o][:, m])
    x[m] = mean[m] + (x[o] - mean[o]) @ slopes
    hidden = x @ kernel + bias
    g = (kernel @ ((hidden > 0) * out[:, 0]))[m]
    variance = g @ (spread[m][:, m] - spread[m][:, o] @ slopes) @ g
    log_odds = (np.maximum(hidden, 0) @ out + offset)[0] / np.sqrt(1 + np.pi / 8 * variance)
    probabilities[row] = 1 / (1 + np.exp(-log_odds))
print(json.dumps(probabilities.tolist()))
"""


def as_records(table: Table) -> list[dict[str, Any]]:
    return [
        {n: None if math.isnan(v) else v for n, v in zip(table.frame, row, strict=True)}
        for row in table.values.tolist()
    ]


@pytest.fixture(scope="module")
def saved_weights(trained: Store) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(trained.path("1"))],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_http_responses_equal_the_saved_keras_weights(
    trained: Store, table: Table, saved_weights: list[float], serve: Callable[..., Any]
) -> None:
    """All 303 patients, in one request and in single requests to the real server."""
    records = as_records(table)
    with serve(trained.folder) as server:
        status, batch = server.post("/predict", {"instances": records})
        assert status == 200
        single = [server.post("/predict", record)[1]["predictions"][0] for record in records]
    for answers in (batch["predictions"], single):
        probabilities = [answer["probability"] for answer in answers]
        np.testing.assert_allclose(probabilities, saved_weights, atol=1e-6, rtol=0)


def test_the_serving_process_holds_no_training_library(
    trained: Store, serve: Callable[..., Any], record: dict[str, Any]
) -> None:
    """Check the imports and the mapped files of a worker that has answered a request."""
    program = """
import sys
from app import Settings, create_app
app = create_app()
client = app.test_client()
import json
assert client.post("/predict", json=json.loads(sys.argv[1])).status_code == 200
for path in ("/model", "/schema", "/readyz", "/healthz", "/nope"):
    client.get(path)
print(" ".join(sorted({name.split(".")[0] for name in sys.modules})))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(record)],
        cwd=ROOT,
        env={**os.environ, "MODEL_STORE": str(trained.folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "onnxruntime" in loaded
    assert not loaded & {"tensorflow", "keras", "pandas", "sklearn", "scipy", "onnx", "h5py"}

    with serve(trained.folder) as server:
        assert server.post("/predict", record)[0] == 200
        assert server.workers
        for worker in server.workers:
            maps = Path(f"/proc/{worker}/maps").read_text()
            assert "onnxruntime" in maps, "the worker has opened the graph"
            for library in ("tensorflow", "pandas", "sklearn", "h5py"):
                assert f"/{library}/" not in maps


def test_no_telemetry_is_sent(
    trained: Store,
    serve: Callable[..., Any],
    record: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ONNX Runtime's telemetry stores unsent events in the user's cache folder."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    # These variables disable the telemetry or move the cache.
    for name in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "CI", "TF_BUILD", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    program = (
        "import sys; from model.inference import OnnxSession; "
        "OnnxSession(open(sys.argv[1], 'rb').read())"
    )
    graph = trained.path("1") / "model.onnx"
    subprocess.run([sys.executable, "-c", program, str(graph)], cwd=ROOT, check=True)
    with serve(trained.folder) as server:
        assert server.post("/predict", record)[0] == 200
    assert not list(home.rglob("*onnx*"))
