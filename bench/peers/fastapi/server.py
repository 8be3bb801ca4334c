"""FastAPI: a pydantic model in, a pydantic model out, the graph called in the event loop.

A call of the graph takes microseconds, so an ``async`` route is right, and faster than the thread
pool that a plain one would use.
"""

from fastapi import FastAPI

from bench.peers.heart import coded, open_graph
from bench.peers.record import Answer, Record

app = FastAPI()
score = open_graph()


@app.post("/predict")
async def predict(record: Record) -> Answer:
    """The probability of one record."""
    return Answer(probability=score([coded(record.__dict__)])[0])
