"""Selection of the training device.

It must happen before Keras is imported, because a backend looks for its devices only once.
"""

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
"""The Keras backends that compute gradients."""


def select_device(device: Device) -> str:
    """Prepare the Keras backend for a device and return the device's name, such as ``gpu:0``.

    Sets environment variables, which every backend reads when it is first imported. GPU memory is
    allocated on demand rather than all at once, and ``cpu`` hides the GPUs.

    Raises:
        DeviceUnavailable: a GPU was requested and the backend sees none, or the backend cannot
            train.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides long notes about CPU instructions
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    # With an explicit GPU, show all messages, such as which CUDA library was not found.
    with nullcontext() if device == "gpu" else _buffer_stderr():
        import keras  # after the environment variables are set

        if keras.config.backend() not in BACKENDS:
            raise DeviceUnavailable(
                f"the Keras backend {keras.config.backend()} cannot train; set KERAS_BACKEND to "
                f"one of {', '.join(BACKENDS)}"
            )
        gpus = _visible_gpus(keras)
    if device == "gpu" and not gpus:
        raise DeviceUnavailable(
            f"a GPU was requested, but the Keras backend {keras.config.backend()} sees none; "
            "install requirements-gpu.txt on a machine with CUDA, or use --device cpu or auto"
        )
    return gpus[0] if gpus else "cpu:0"


def _visible_gpus(keras: Any) -> list[str]:
    if keras.config.backend() == "torch":  # Keras cannot list its devices
        import torch  # not installed with the other backends

        return [f"gpu:{number}" for number in range(torch.cuda.device_count())]
    try:
        return list(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX raises if there is no GPU
        return []


@contextmanager
def _buffer_stderr() -> Iterator[None]:
    """Buffer the stderr of this process, C++ code included, and print it only after an error.

    TensorFlow prints lines about CPU instructions and missing CUDA drivers at every start, before
    its own log setting takes effect.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as buffer:
        os.dup2(buffer.fileno(), 2)
        try:
            yield
        except BaseException:
            buffer.seek(0)
            os.write(stderr, buffer.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
