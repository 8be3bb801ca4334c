"""MLServer: a custom runtime for tables as Open Inference V2 requests.

A request has one tensor per column with strings as BYTES, or one matrix with 13 codes per record.
MLServer validates shapes and data types; the runtime validates levels and ranges.
"""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from bench.peers.heart import COLUMNS, check_ranges, encode_record, open_graph


class Heart(MLModel):
    """A runtime that calls the graph for V2's ``infer``."""

    async def load(self) -> bool:
        """Open the graph."""
        self._score = open_graph()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return the probabilities of the records of a request."""
        try:
            rows = _rows(payload)
            for row in rows:
                check_ranges(row)
        except (KeyError, ValueError) as error:
            raise InferenceError("a column is absent, or a value is not allowed") from error
        probabilities = self._score(rows)
        output = ResponseOutput(
            name="probability",
            shape=[len(probabilities), 1],
            datatype="FP32",
            data=probabilities,
        )
        return InferenceResponse(model_name=self.name, outputs=[output])


def _rows(payload: InferenceRequest) -> list[list[float]]:
    if len(payload.inputs) == 1:
        return NumpyCodec.decode_input(payload.inputs[0]).tolist()
    columns = {
        tensor.name: StringCodec.decode_input(tensor)
        if tensor.datatype == "BYTES"
        else NumpyCodec.decode_input(tensor).ravel().tolist()
        for tensor in payload.inputs
    }
    records = zip(*(columns[name] for name in COLUMNS), strict=True)
    return [encode_record(dict(zip(COLUMNS, values, strict=True))) for values in records]
