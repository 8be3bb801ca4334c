"""MLflow's client, in a separate environment, against the real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.artifacts import Store
from pipelines.data import Table
from tests.conftest import ROOT
from tests.repository.test_parity import as_records

PACKAGES = ("mlflow-skinny==3.17.2", "pandas==3.1.1", "numpy==2.4.6", "scipy==1.17.1")
PROGRAM = """
import json, sys
import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
host, port = sys.argv[1].removeprefix("http://").split(":")
client = ScoringServerClient(host, port)
client.wait_server_ready()
frame = pd.read_csv(sys.argv[2]).drop(columns="num")
assert frame.isna().any().any()
answers = {
    "frame": client.invoke(frame),
    "with params": client.invoke(frame, params={"a": 1}),
    "array": client.invoke(frame.to_numpy()),
    # The client rejects a dict of arrays, but sends a string unchanged.
    "columns": client.invoke(json.dumps({"inputs": frame.to_dict(orient="list")})),
    "pandas' JSON": client.invoke('{"dataframe_split": %s}' % frame.to_json(orient="split")),
    "records": client.invoke(frame.to_dict(orient="records")),
}
predictions = {name: answer.get_predictions("ndarray").tolist() for name, answer in answers.items()}
as_frame = answers["frame"].get_predictions("dataframe")
assert as_frame.shape == (len(frame), 1)
predictions["as a frame"] = as_frame[0].tolist()
frame.loc[7, "age"] = 630
try:
    client.invoke(frame)
except Exception as error:
    message = str(error)
print(json.dumps({"predictions": predictions, "error": message, "version": client.get_version()}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with MLflow, which the service does not depend on."""
    folder = tmp_path_factory.mktemp("mlflow")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


@pytest.mark.slow
def test_the_mlflow_client_gets_the_probabilities_of_predict(
    trained: Store, table: Table, serve: Callable[..., Any], python: Path
) -> None:
    with serve(trained.folder) as server:
        done = subprocess.run(
            [python, "-c", PROGRAM, server.address, ROOT / "data/cleveland.csv"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        status, direct = server.post("/predict", as_records(table))
    assert status == 200
    content = json.loads(done.stdout.splitlines()[-1])
    expected = [prediction["probability"] for prediction in direct["predictions"]]
    assert len(expected) == 303
    for name, actual in content["predictions"].items():
        assert actual == expected, name
    assert content["version"] == "1"
    assert "error code 400" in content["error"] and "BAD_REQUEST" in content["error"]
    assert "row 7: age must be between 1 and 120 years" in content["error"]
