"""The least that a Flask service can do: parse the JSON of a request, count, answer a constant."""

from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.post("/predict")
def predict() -> Response:
    """The same probability to every body that is JSON, and how many records it held."""
    content = request.get_json()
    return jsonify(probability=0.5, records=len(content) if isinstance(content, list) else 1)
