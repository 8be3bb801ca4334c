"""ONNX graphs opened in ONNX Runtime with one thread each."""

from __future__ import annotations

import threading

import numpy as np

GRAPH_ROWS_PER_BLOCK = 2_048
"""Rows that are scored together, so that activations stay in a core's cache: a third faster than
10,000 at once."""

_IDENTITY_MODEL = (
    b'\x08\x08:7\n\x10\n\x01a\x12\x01b"\x08Identity\x12\x01g'
    b"Z\x0f\n\x01a\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01"
    b"b\x0f\n\x01b\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
"""An ONNX model of one Identity node."""


def set_up_runtime() -> None:
    """Register ONNX Runtime's operators in this process, which opening the first graph does.

    Processes forked afterwards share that memory and need not load the code that filled it. Each is
    4 MB smaller and starts faster.
    """
    OnnxSession(_IDENTITY_MODEL)


class OnnxSession:
    """An ONNX graph opened in ONNX Runtime with one thread."""

    def __init__(self, data: bytes) -> None:
        import onnxruntime  # late: neither training nor describing a model needs it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Memory patterns pay only if batches have one size, an arena only if large ones repeat.
        options.enable_mem_pattern = options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
        self._output = self._session.get_outputs()[0].name
        self._thread_local = threading.local()

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Return the probabilities of the positive outcome.

        **Shape**: float64 (n, n_columns), missing as NaN → float32 (n,).
        """
        if len(values) == 1:
            return self._score_single(values)
        blocks = [
            self._session.run(
                [self._output], {"values": values[start : start + GRAPH_ROWS_PER_BLOCK]}
            )[0]
            for start in range(0, len(values) or 1, GRAPH_ROWS_PER_BLOCK)
        ]
        return np.concatenate(blocks)[:, 0]

    def _score_single(self, values: np.ndarray) -> np.ndarray:
        """Score one row, the usual request, in buffers that are allocated once a thread.

        Allocating them for every call takes longer than scoring.
        """
        try:
            binding, inputs, outputs = self._thread_local.buffers
        except AttributeError:
            binding = self._session.io_binding()
            inputs, outputs = np.empty_like(values, np.float64), np.empty((1, 1), np.float32)
            binding.bind_input("values", "cpu", 0, np.float64, inputs.shape, inputs.ctypes.data)
            binding.bind_output(
                self._output, "cpu", 0, np.float32, outputs.shape, outputs.ctypes.data
            )
            self._thread_local.buffers = binding, inputs, outputs
        inputs[:] = values
        self._session.run_with_iobinding(binding)
        return outputs[0].copy()
