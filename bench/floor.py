"""A minimal Flask service: parse JSON, count the records, return a constant."""

from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.post("/predict")
def predict() -> Response:
    """Return a constant probability and the number of records in the request."""
    content = request.get_json()
    return jsonify(probability=0.5, records=len(content) if isinstance(content, list) else 1)
