"""ONNX graphs, opened with one thread each."""

from __future__ import annotations

import threading

import numpy as np

GRAPH_ROWS_PER_BLOCK = 2_048
"""So that what is worked on stays in a core's cache: a third quicker than 10,000 at once."""


_IDENTITY_MODEL = (
    b'\x08\x08:7\n\x10\n\x01a\x12\x01b"\x08Identity\x12\x01gZ\x0f\n\x01a\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01b\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
"""An ONNX model of one Identity node."""


def set_up_runtime() -> None:
    """Have ONNX Runtime do what it does once a process, for the first graph that is opened.

    It registers its operators then. Processes that are forked from one which has done so share what
    it wrote and do not load the code that wrote it: each is 4 MB smaller and ready sooner.
    """
    OnnxSession(_IDENTITY_MODEL)


class OnnxSession:
    """An ONNX graph, opened with one thread."""

    def __init__(self, data: bytes) -> None:
        import onnxruntime  # only now: what describes or trains a model needs none

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # What is known of a batch's memory pays only where batches are of one size, and memory that
        # is kept from a great one only where another follows.
        options.enable_mem_pattern = options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
        self._output = self._session.get_outputs()[0].name
        self._thread_local = threading.local()

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """float32 (n, n_columns), missing as NaN → float32 (n,) of the positive outcome."""
        if len(values) == 1:
            return self._score_single(values)
        parts = [
            self._session.run(
                [self._output], {"values": values[start : start + GRAPH_ROWS_PER_BLOCK]}
            )[0]
            for start in range(0, len(values) or 1, GRAPH_ROWS_PER_BLOCK)
        ]
        return np.concatenate(parts)[:, 0]

    def _score_single(self, values: np.ndarray) -> np.ndarray:
        """The usual request has one row, for which finding memory takes longer than scoring."""
        try:
            binding, given, found = self._thread_local.bound
        except AttributeError:
            binding = self._session.io_binding()
            given, found = np.empty_like(values, np.float32), np.empty((1, 1), np.float32)
            binding.bind_input("values", "cpu", 0, np.float32, given.shape, given.ctypes.data)
            binding.bind_output(self._output, "cpu", 0, np.float32, found.shape, found.ctypes.data)
            self._thread_local.bound = binding, given, found
        given[:] = values
        self._session.run_with_iobinding(binding)
        return found[0].copy()
