"""What TensorFlow Serving tells of a model: the state of its versions, and its signature."""

from __future__ import annotations

from typing import Any

from app.models import LoadedModel, RegistrySnapshot

SIGNATURE = "serving_default"


def version_statuses(snapshot: RegistrySnapshot) -> dict[str, dict[str, Any]]:
    """By version, the newest first: those that answer, and those that could not be loaded.

    A version that answers is AVAILABLE also where a newer copy of it could not be loaded.
    """
    failed = {version: why for version, why in snapshot.failures.items() if version.isdecimal()}
    told = {version: _status(version, "END", "UNKNOWN", why) for version, why in failed.items()}
    for model in snapshot.loaded.values():
        told[model.version] = _status(model.version, "AVAILABLE", "OK", "")
    return {version: told[version] for version in sorted(told, key=int, reverse=True)}


def signature_metadata(model: LoadedModel) -> dict[str, Any]:
    """The signature of a version, in the JSON of the protocol's messages.

    One input a column, of shape (n,); one output, of shape (n, 1). The second ``signature_def`` is
    that of the message SignatureDefMap.
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
