"""Which device trains. Must be asked before Keras is imported: a backend looks once."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

from model.errors import DeviceUnavailable

Device = Literal["auto", "cpu", "gpu"]

BACKENDS = ("tensorflow", "jax", "torch")
"""Those of Keras's that work out gradients."""


def select_device(device: Device) -> str:
    """Prepare the backend for a device and say which one will train, such as ``gpu:0``.

    Set by environment variables, which every backend reads when it is first imported: a GPU's
    memory is taken as it is needed rather than all at once, and ``cpu`` hides the GPUs.

    Raises:
        DeviceUnavailable: a GPU was asked for and the backend sees none; or the backend trains
            nothing.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # else pages about CPU instructions
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    # Who insists on a GPU is told everything, such as which of CUDA's libraries was not found.
    with nullcontext() if device == "gpu" else _buffer_stderr():
        import keras  # only now, see above

        if keras.config.backend() not in BACKENDS:
            raise DeviceUnavailable(
                f"Keras on {keras.config.backend()} trains nothing; KERAS_BACKEND may be "
                f"{', '.join(BACKENDS)}"
            )
        gpus = _visible_gpus(keras)
    if device == "gpu" and not gpus:
        raise DeviceUnavailable(
            f"a GPU was asked for, and Keras on {keras.config.backend()} sees none. Install "
            "requirements-gpu.txt on a machine with CUDA, or use --device cpu or auto"
        )
    return gpus[0] if gpus else "cpu:0"


def _visible_gpus(keras: Any) -> list[str]:
    if keras.config.backend() == "torch":  # for which Keras lists no devices
        import torch  # whoever chose this backend has it

        return [f"gpu:{number}" for number in range(torch.cuda.device_count())]
    try:
        return list(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX raises where there is none
        return []


@contextmanager
def _buffer_stderr() -> Iterator[None]:
    """Keep back what C++ code writes to stderr, and show it only if something goes wrong.

    TensorFlow greets every start with lines about CPU instructions and missing CUDA drivers, before
    its own setting for that takes effect.
    """
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
