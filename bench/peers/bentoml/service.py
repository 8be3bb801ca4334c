"""BentoML: a service of one worker, the record as its root input, checked by pydantic."""

import bentoml

from bench.peers.heart import coded, open_graph
from bench.peers.record import Answer, Record


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Heart:
    """The graph, opened once a worker."""

    def __init__(self) -> None:
        self._score = open_graph()

    @bentoml.api
    async def predict(self, record: Record, /) -> Answer:
        """The probability of one record; ``async``, or BentoML would use a thread pool."""
        return Answer(probability=self._score([coded(record.__dict__)])[0])
