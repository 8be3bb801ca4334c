"""BentoML: a service with one worker, whose root input is the pydantic record."""

import bentoml

from bench.peers.heart import encode_record, open_graph
from bench.peers.record import Prediction, Record


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Heart:
    """A service that opens the graph once per worker."""

    def __init__(self) -> None:
        self._score = open_graph()

    @bentoml.api
    async def predict(self, record: Record, /) -> Prediction:
        """Return the probability of one record. ``async`` avoids BentoML's thread pool."""
        return Prediction(probability=self._score([encode_record(record.__dict__)])[0])
