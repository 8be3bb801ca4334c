"""What the hosts of containers say in their own words, put into ours.

Vertex AI tells a container its port and the two paths that it will ask (``AIP_HTTP_PORT``,
``AIP_HEALTH_ROUTE``, ``AIP_PREDICT_ROUTE``) and where the model is (``AIP_STORAGE_URI``). SageMaker
unpacks the model into a folder of its own before it starts the container.
See docs/protocols/mlflow-sagemaker-vertex.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from model.artifacts import CURRENT_FILE, MANIFEST_FILE

SAGEMAKER_MODEL = Path("/opt/ml/model")
IMAGE_DEFAULTS = {"HOST": "0.0.0.0", "PORT": "8080", "MODEL_STORE": "/models"}
"""What the Dockerfile sets: nobody's wish, so that it gives way to what a host says."""


def translate_cloud_environment(
    environment: Mapping[str, str], sagemaker_model: Path = SAGEMAKER_MODEL
) -> dict[str, str]:
    """The environment with what a host says added, wherever our own variable is not set.

    A variable that is as :data:`IMAGE_DEFAULTS` has it counts as not set.
    """
    said: dict[str, str] = {}
    if port := environment.get("AIP_HTTP_PORT"):
        said |= {"PORT": port, "HOST": "0.0.0.0"}
    storage = environment.get("AIP_STORAGE_URI", "")
    if storage and "://" not in storage:  # gs:// is no folder, and nothing is downloaded
        said["MODEL_STORE"] = storage
    elif folder := _find_model(sagemaker_model):
        said |= {"MODEL_STORE": str(folder), "HOST": "0.0.0.0"}
    if route := environment.get("AIP_HEALTH_ROUTE"):
        said["HEALTH_ROUTE"] = route
    if route := environment.get("AIP_PREDICT_ROUTE"):
        said["PREDICT_ROUTE"] = route
    ours = {name: value for name, value in environment.items() if value.strip()}
    return said | {n: v for n, v in ours.items() if n not in said or IMAGE_DEFAULTS.get(n) != v}


def _find_model(folder: Path) -> Path | None:
    """The folder with a store or a version: this one, or the only such folder in it.

    An archive may hold either, and may hold it in a folder. Where neither is to be found, the
    folder itself, so that what is wrong with it gets said; None where it is absent or empty.
    """
    try:
        below = list(folder.iterdir())
    except OSError:
        return None
    deeper = [path for path in below if _is_model(path)]
    if below and (_is_model(folder) or len(deeper) != 1):
        return folder
    return deeper[0] if deeper else None


def _is_model(folder: Path) -> bool:
    try:
        return (folder / MANIFEST_FILE).is_file() or (folder / CURRENT_FILE).is_file()
    except OSError:
        return False
