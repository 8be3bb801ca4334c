"""The servers to measure: command, request and environment of each.

To add one, declare it in :data:`TARGETS`. If it needs other packages than the project, add a folder
under ``bench/peers`` with a ``requirements.txt``; the Makefile creates its environment.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.bodies import (
    BodyMaker,
    column_tensors,
    dataframe_records,
    json_records,
    matrix_tensor,
    training_frame,
)

PEERS = Path(".venv-peers")
_GUNICORN = "{python} -m gunicorn --bind 127.0.0.1:{port} --workers 1"


@dataclass(frozen=True)
class BenchmarkTarget:
    """A server to measure: how to start it, and how to request a prediction.

    ``command``, ``prepare`` and ``settings`` may contain placeholders: ``{python}`` is the
    interpreter of the server's environment, ``{bin}`` the folder of that interpreter, ``{port}``
    the port to listen on, ``{second_port}`` and ``{third_port}`` two more free ports, and
    ``{scratch}`` a temporary folder that exists during the measurement.

    Attributes:
        name: unique name.
        command: starts the server in the foreground.
        description: one line for the report.
        path: path of predictions.
        body: makes a request body from records.
        probability: returns the probability of the first record from a response, which must equal
            the graph's; None for the floors, which compute none.
        peer: folder of the environment under :data:`PEERS`; empty for the project's environment.
        packages: packages whose versions the report lists.
        settings: environment variables.
        prepare: command to run before the server starts; empty for none.
        n_workers: number of worker processes.
        batch: True to measure requests with 10,000 records as well.
        only_memory: True to measure only start and memory, and no rounds.
    """

    name: str
    command: str
    description: str
    path: str = "/predict"
    body: BodyMaker = json_records
    probability: Callable[[Any], float] | None = lambda response: response["probability"]
    peer: str = ""
    packages: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    prepare: str = ""
    n_workers: int = 1
    batch: bool = False
    only_memory: bool = False

    @property
    def python(self) -> Path:
        """The interpreter of the server's environment."""
        return PEERS / self.peer / "bin/python" if self.peer else Path(sys.executable)

    @property
    def is_installed(self) -> bool:
        """True if the server's environment has been created completely."""
        return not self.peer or (PEERS / self.peer / ".installed").exists()


def _first_prediction(response: Any) -> float:
    return float(response["predictions"][0]["probability"])


def _first_output(response: Any) -> float:
    return float(response["outputs"][0]["data"][0])


_SERVICE = "{python} -m gunicorn -c app/gunicorn.conf.py app.wsgi:app"
_MEASURED_WITH_PEERS = ("service", "service-gthread")
_MLSERVER = "{bin}/mlserver start bench/peers/mlserver"
_MLSERVER_PORTS = {
    "MLSERVER_HTTP_PORT": "{port}",
    "MLSERVER_GRPC_PORT": "{second_port}",
    "MLSERVER_METRICS_PORT": "{third_port}",
}

TARGETS = (
    BenchmarkTarget(
        "floor",
        f"{_GUNICORN} --worker-class gthread --threads 1 bench.floor:app",
        "a Flask route that parses JSON, counts the records and returns a constant",
        probability=None,
        packages=("flask", "gunicorn"),
        batch=True,
    ),
    BenchmarkTarget(
        "floor-wsgi",
        f"{_GUNICORN} --worker-class gthread --threads 1 bench.floor_wsgi:app",
        "the same as a plain WSGI application, without Flask",
        probability=None,
        batch=True,
    ),
    BenchmarkTarget(
        "tutorial",
        f"{_GUNICORN} --worker-class gthread --threads 1 --timeout 120 --keep-alive 60 "
        "bench.tutorial:app",
        "Flask, pandas, ColumnTransformer and model.predict",
        body=training_frame,
        packages=("tensorflow", "keras", "pandas", "scikit-learn"),
        settings={"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
    ),
    BenchmarkTarget(
        "service",
        _SERVICE,
        "this service as deployed: one worker with an event loop",
        probability=_first_prediction,
        packages=("uvicorn", "httptools", "msgspec", "numpy", "onnxruntime"),
        settings={"PORT": "{port}", "WORKERS": "1"},
        batch=True,
    ),
    BenchmarkTarget(
        "service-two-workers",
        _SERVICE,
        "this service as deployed with two workers, only for their memory",
        probability=_first_prediction,
        settings={"PORT": "{port}", "WORKERS": "2"},
        n_workers=2,
        only_memory=True,
    ),
    BenchmarkTarget(
        "service-gthread",
        f"{_SERVICE} --worker-class gthread --threads 1",
        "this service on gunicorn's gthread worker with one thread",
        probability=_first_prediction,
        settings={"PORT": "{port}", "WORKERS": "1"},
        batch=True,
    ),
    BenchmarkTarget(
        "service-granian",
        "{python} -m granian --interface wsgi --host 127.0.0.1 --port {port} --workers 1 "
        "--blocking-threads 1 --no-ws --log-level warning app.wsgi:app",
        "this service as a WSGI application on granian, a server written in Rust",
        probability=_first_prediction,
        peer="granian",
        packages=("granian",),
        batch=True,
    ),
    BenchmarkTarget(
        "fastapi",
        "{python} -m uvicorn bench.peers.fastapi.server:app --host 127.0.0.1 --port {port} "
        "--no-access-log --log-level warning",
        "FastAPI with pydantic, on uvicorn with uvloop and httptools",
        peer="fastapi",
        packages=("fastapi", "uvicorn", "uvloop", "httptools", "pydantic"),
    ),
    BenchmarkTarget(
        "mlserver",
        _MLSERVER,
        "an MLServer custom runtime, one tensor per column",
        path="/v2/models/heart/infer",
        body=column_tensors,
        probability=_first_output,
        peer="mlserver",
        packages=("mlserver", "fastapi", "uvicorn"),
        settings=_MLSERVER_PORTS,
    ),
    BenchmarkTarget(
        "mlserver-matrix",
        _MLSERVER,
        "the same runtime, one matrix of codes without column names",
        path="/v2/models/heart/infer",
        body=matrix_tensor,
        probability=_first_output,
        peer="mlserver",
        settings=_MLSERVER_PORTS,
    ),
    BenchmarkTarget(
        "bentoml",
        "{python} -m bentoml serve bench.peers.bentoml.service:Heart --host 127.0.0.1 "
        "--port {port}",
        "a BentoML service with an async API and pydantic validation",
        peer="bentoml",
        packages=("bentoml", "uvicorn", "pydantic"),
        settings={"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": "{scratch}"},
    ),
    BenchmarkTarget(
        "mlflow",
        "{python} -m mlflow models serve --model-uri {scratch}/model --env-manager local "
        "--host 127.0.0.1 --port {port} --workers 1",
        "an MLflow pyfunc model with a signature",
        path="/invocations",
        body=dataframe_records,
        probability=lambda response: response["predictions"][0],
        peer="mlflow",
        packages=("mlflow", "uvicorn", "pandas"),
        prepare="{python} -m bench.peers.mlflow.save {scratch}/model",
        settings={"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": "{scratch}/runs"},
    ),
)


def select_targets(names: list[str] | None, *, peers: bool) -> list[BenchmarkTarget]:
    """Return the targets of a run. The floor comes first, because ratios are relative to it.

    Args:
        names: names of the targets to measure. If None, all targets in the project's environment;
            with ``peers``, all targets with another environment, and the service on both workers.
        peers: True to measure the other serving systems; without effect if ``names`` is given.

    Raises:
        ValueError: an unknown name.
    """
    by_name = {target.name: target for target in TARGETS}
    if names is not None:
        if unknown := [name for name in names if name not in by_name]:
            raise ValueError(
                f"unknown target: {', '.join(unknown)}; expected names of {', '.join(by_name)}"
            )
        selected = [by_name[name] for name in names]
    elif peers:
        selected = [t for t in TARGETS if t.peer or t.name in _MEASURED_WITH_PEERS]
    else:
        selected = [t for t in TARGETS if not t.peer]
    floor = TARGETS[0]
    return [floor, *(target for target in selected if target is not floor)]
