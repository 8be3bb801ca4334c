"""Who is measured: each contestant's command, request and environment, declared once.

To add one, declare it in :data:`TARGETS`; if it needs packages of its own, give it a folder
under ``bench/peers`` with a ``requirements.txt``, and the Makefile makes its environment.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.bodies import (
    BodyMaker,
    dataframe_records,
    named,
    one_matrix,
    tensor_a_column,
    training_frame,
)

PEERS = Path(".venv-peers")
_GUNICORN = "{python} -m gunicorn --bind 127.0.0.1:{port} --workers 1"


@dataclass(frozen=True)
class BenchmarkTarget:
    """A server, how it is started, and how it is asked.

    In ``command``, ``prepare`` and ``settings``, ``{python}`` stands for the interpreter of its
    environment and ``{bin}`` for the folder of that, ``{port}`` for the port that it has to listen on, ``{second_port}`` and
    ``{third_port}`` for two more, ``{scratch}`` for a folder of its own that is there while the
    measurement lasts.

    Attributes:
        command: starts it, in the foreground.
        what: one line for the report.
        path: where predictions are asked for.
        body: makes the body of a request from records.
        probability: the probability of the first record in an answer, which must be the graph's;
            None for a floor, which has none.
        peer: the folder under :data:`PEERS` that holds its environment; "" for the project's own.
        packages: whose versions the report names.
        settings: environment variables.
        prepare: a command to run before it is started for the first time.
        n_workers: processes that answer.
        batch: whether it is also measured with 10,000 records a request.
        only_memory: whether it is left out of the rounds.
    """

    name: str
    command: str
    what: str
    path: str = "/predict"
    body: BodyMaker = named
    probability: Callable[[Any], float] | None = lambda answer: answer["probability"]
    peer: str = ""
    packages: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    prepare: str = ""
    n_workers: int = 1
    batch: bool = False
    only_memory: bool = False

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return PEERS / self.peer / "bin/python" if self.peer else Path(sys.executable)

    @property
    def is_installed(self) -> bool:
        """Whether its environment was made and is whole."""
        return not self.peer or (PEERS / self.peer / ".installed").exists()


def _first_prediction(answer: Any) -> float:
    return float(answer["predictions"][0]["probability"])


def _first_output(answer: Any) -> float:
    return float(answer["outputs"][0]["data"][0])


_SERVICE = "{python} -m gunicorn -c app/gunicorn.conf.py app.wsgi:app"
_WITH_PEERS = ("service", "service-ordinary")
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
        "a Flask route that parses JSON, counts and answers a constant",
        probability=None,
        packages=("flask", "gunicorn"),
        batch=True,
    ),
    BenchmarkTarget(
        "floor-wsgi",
        f"{_GUNICORN} --worker-class gthread --threads 1 bench.floor_wsgi:app",
        "the same without Flask",
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
        "this service as it is deployed, one worker, an event loop",
        probability=_first_prediction,
        packages=("msgspec", "numpy", "onnxruntime"),
        settings={"PORT": "{port}", "WORKERS": "1"},
        batch=True,
    ),
    BenchmarkTarget(
        "service-two-workers",
        _SERVICE,
        "for the memory of each of two",
        probability=_first_prediction,
        settings={"PORT": "{port}", "WORKERS": "2"},
        n_workers=2,
        only_memory=True,
    ),
    BenchmarkTarget(
        "service-ordinary",
        "{python} -m gunicorn -c app/gunicorn.conf.py -k app.server.single_thread_worker.SingleThreadWorker app.wsgi:app",
        "this service on an ordinary worker of gunicorn's, one thread",
        probability=_first_prediction,
        settings={"PORT": "{port}", "WORKERS": "1"},
        batch=True,
    ),
    BenchmarkTarget(
        "service-uvloop",
        "{python} -m gunicorn -c app/gunicorn.conf.py --asgi-loop uvloop app.wsgi:app",
        "this service as it is deployed, but with uvloop",
        probability=_first_prediction,
        peer="uvloop",
        packages=("uvloop",),
        settings={"PORT": "{port}", "WORKERS": "1"},
        batch=True,
    ),
    BenchmarkTarget(
        "service-granian",
        "{python} -m granian --interface wsgi --host 127.0.0.1 --port {port} --workers 1 "
        "--blocking-threads 1 --no-ws --log-level warning app.wsgi:app",
        "this service as a WSGI application on a server written in Rust",
        probability=_first_prediction,
        peer="granian",
        packages=("granian",),
        batch=True,
    ),
    BenchmarkTarget(
        "fastapi",
        "{python} -m uvicorn bench.peers.fastapi.server:app --host 127.0.0.1 --port {port} "
        "--no-access-log --log-level warning",
        "FastAPI, pydantic, uvicorn with uvloop and httptools",
        peer="fastapi",
        packages=("fastapi", "uvicorn", "uvloop", "httptools", "pydantic"),
    ),
    BenchmarkTarget(
        "mlserver",
        _MLSERVER,
        "a custom runtime, one tensor a column",
        path="/v2/models/heart/infer",
        body=tensor_a_column,
        probability=_first_output,
        peer="mlserver",
        packages=("mlserver", "fastapi", "uvicorn"),
        settings=_MLSERVER_PORTS,
    ),
    BenchmarkTarget(
        "mlserver-matrix",
        _MLSERVER,
        "the same, one matrix of codes without names",
        path="/v2/models/heart/infer",
        body=one_matrix,
        probability=_first_output,
        peer="mlserver",
        settings=_MLSERVER_PORTS,
    ),
    BenchmarkTarget(
        "bentoml",
        "{python} -m bentoml serve bench.peers.bentoml.service:Heart --host 127.0.0.1 "
        "--port {port}",
        "a service with an async API, the record checked by pydantic",
        peer="bentoml",
        packages=("bentoml", "uvicorn", "pydantic"),
        settings={"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": "{scratch}"},
    ),
    BenchmarkTarget(
        "mlflow",
        "{python} -m mlflow models serve --model-uri {scratch}/model --env-manager local "
        "--host 127.0.0.1 --port {port} --workers 1",
        "a pyfunc model with a signature",
        path="/invocations",
        body=dataframe_records,
        probability=lambda answer: answer["predictions"][0],
        peer="mlflow",
        packages=("mlflow", "uvicorn", "pandas"),
        prepare="{python} -m bench.peers.mlflow.save {scratch}/model",
        settings={"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": "{scratch}/runs"},
    ),
)


def select_targets(names: list[str] | None, *, peers: bool) -> list[BenchmarkTarget]:
    """The contestants of a run; the floor is always the first, since ratios are taken to it.

    Args:
        names: those to measure; unless given, all that need no environment of their own, or with
            ``peers`` those that do, and the service on both workers.

    Raises:
        ValueError: a name that no contestant has.
    """
    known = {contestant.name: contestant for contestant in TARGETS}
    if names is None:
        chosen = [c for c in TARGETS if (c.peer or c.name in _WITH_PEERS if peers else not c.peer)]
    else:
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"there is no {', '.join(unknown)}; there are: {'; '.join(known)}")
        chosen = [known[name] for name in names]
    floor = TARGETS[0]
    return [floor, *(contestant for contestant in chosen if contestant is not floor)]
