"""Metadata of a model in TensorFlow Serving's format: version states and the signature."""

from __future__ import annotations

from typing import Any

from app.models import LoadedModel, RegistrySnapshot

SIGNATURE = "serving_default"


def version_statuses(snapshot: RegistrySnapshot) -> dict[str, dict[str, Any]]:
    """Return the status of each loaded version and of each version that failed to load.

    A loaded version is AVAILABLE, even if a newer copy of it failed to load.

    Returns:
        By version, the newest first.
    """
    statuses = {
        version: _status(version, "END", "UNKNOWN", reason)
        for version, reason in snapshot.failures.items()
        if version.isdecimal()
    }
    for model in snapshot.loaded.values():
        statuses[model.version] = _status(model.version, "AVAILABLE", "OK", "")
    return {version: statuses[version] for version in sorted(statuses, key=int, reverse=True)}


def signature_metadata(model: LoadedModel) -> dict[str, Any]:
    """Return the signature of a version, in the JSON form of the protocol's messages.

    It has one input per column, of shape (n,), and one output, of shape (n, 1). The inner
    ``signature_def`` is the field of the message SignatureDefMap.
    """
    inputs = {name: _tensor(f"{SIGNATURE}_{name}:0", "-1") for name in model.schema.column_names}
    signature = {
        "inputs": inputs,
        "outputs": {"probability": _tensor("StatefulPartitionedCall:0", "-1", "1")},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": model.version},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }


def _status(version: str, state: str, code: str, message: str) -> dict[str, Any]:
    status = {"error_code": code, "error_message": message}
    return {"version": version, "state": state, "status": status}


def _tensor(name: str, *sizes: str) -> dict[str, Any]:
    shape = {"dim": [{"size": size, "name": ""} for size in sizes], "unknown_rank": False}
    return {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": name}
