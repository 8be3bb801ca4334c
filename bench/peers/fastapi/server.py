"""FastAPI: pydantic models for request and response, the graph called in the event loop.

A call of the graph takes microseconds. An ``async`` route is therefore appropriate, and faster than
the thread pool of a synchronous route.
"""

from fastapi import FastAPI

from bench.peers.heart import encode_record, open_graph
from bench.peers.record import Prediction, Record

app = FastAPI()
score = open_graph()


@app.post("/predict")
async def predict(record: Record) -> Prediction:
    """Return the probability of one record."""
    return Prediction(probability=score([encode_record(record.__dict__)])[0])
