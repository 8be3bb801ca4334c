"""The graph as an MLflow model with a signature: ``python -m bench.peers.mlflow.save FOLDER``."""

import os
import sys
from pathlib import Path

import mlflow
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from bench.peers.heart import CODES, COLUMNS


def main(target: str) -> None:
    """Save the model to a folder that does not exist yet."""
    inputs = Schema([ColSpec("string" if n in CODES else "double", n) for n in COLUMNS])
    mlflow.pyfunc.save_model(
        path=target,
        python_model=str(Path(__file__).with_name("model.py")),
        artifacts={"graph": os.environ["GRAPH"]},
        signature=ModelSignature(inputs=inputs, outputs=Schema([ColSpec("double")])),
        pip_requirements=["onnxruntime"],
    )


if __name__ == "__main__":
    main(sys.argv[1])
