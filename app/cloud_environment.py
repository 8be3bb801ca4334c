"""Translation of the environment variables of cloud platforms into the service's own.

Vertex AI passes the port, the paths for health checks and predictions, and the location of the
model (``AIP_HTTP_PORT``, ``AIP_HEALTH_ROUTE``, ``AIP_PREDICT_ROUTE``, ``AIP_STORAGE_URI``).
SageMaker unpacks the model into ``/opt/ml/model`` before it starts the container.
See docs/protocols/mlflow-sagemaker-vertex.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from model.artifacts import CURRENT_FILE, MANIFEST_FILE

SAGEMAKER_MODEL = Path("/opt/ml/model")
IMAGE_DEFAULTS = {"HOST": "0.0.0.0", "PORT": "8080", "MODEL_STORE": "/models"}
"""Defaults set by the Dockerfile; the platform's variables override them."""


def translate_cloud_environment(
    environment: Mapping[str, str], sagemaker_model: Path = SAGEMAKER_MODEL
) -> dict[str, str]:
    """Return the environment with the platform's values added as variables of the service.

    A variable of the service that is set takes precedence, unless its value is the one in
    :data:`IMAGE_DEFAULTS`.

    Args:
        environment: the environment variables.
        sagemaker_model: the folder into which SageMaker unpacks the model.
    """
    platform: dict[str, str] = {}
    if port := environment.get("AIP_HTTP_PORT"):
        platform |= {"PORT": port, "HOST": "0.0.0.0"}
    storage = environment.get("AIP_STORAGE_URI", "")
    if storage and "://" not in storage:  # gs:// is not a folder, and the service downloads nothing
        platform["MODEL_STORE"] = storage
    elif folder := _find_model(sagemaker_model):
        platform |= {"MODEL_STORE": str(folder), "HOST": "0.0.0.0"}
    if route := environment.get("AIP_HEALTH_ROUTE"):
        platform["HEALTH_ROUTE"] = route
    if route := environment.get("AIP_PREDICT_ROUTE"):
        platform["PREDICT_ROUTE"] = route
    overrides = {
        name: value
        for name, value in environment.items()
        if value.strip() and (name not in platform or IMAGE_DEFAULTS.get(name) != value)
    }
    return platform | overrides


def _find_model(folder: Path) -> Path | None:
    """Return the folder of a store or a version: this one, or the only such folder in it.

    The archive of the model may have a top-level folder. Return the folder itself if neither holds
    a model, so that loading reports what is wrong with it, and None if it is absent or empty.
    """
    try:
        children = list(folder.iterdir())
    except OSError:
        return None
    models = [path for path in children if _is_model(path)]
    if children and (_is_model(folder) or len(models) != 1):
        return folder
    return models[0] if models else None


def _is_model(folder: Path) -> bool:
    try:
        return (folder / MANIFEST_FILE).is_file() or (folder / CURRENT_FILE).is_file()
    except OSError:
        return False
