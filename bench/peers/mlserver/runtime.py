"""MLServer: a custom runtime for Open Inference V2 requests, in both forms that tables have.

One tensor a column, words as BYTES, or one matrix of 13 codes a record. MLServer checks shapes
and data types; ranges and words are the runtime's to check.
"""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from bench.peers.heart import COLUMNS, check_ranges, coded, open_graph


class Heart(MLModel):
    """The graph behind V2's ``infer``."""

    async def load(self) -> bool:
        """Open the graph."""
        self._score = open_graph()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The probabilities of the records of a request."""
        try:
            rows = _rows(payload)
            for row in rows:
                check_ranges(row)
        except (KeyError, ValueError) as error:
            raise InferenceError("a column is absent, or a value is not allowed") from error
        answers = self._score(rows)
        output = ResponseOutput(
            name="probability", shape=[len(answers), 1], datatype="FP32", data=answers
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
    return [coded(dict(zip(COLUMNS, values, strict=True))) for values in records]
