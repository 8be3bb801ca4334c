"""The least that a Flask service can do: parse the JSON of a request and answer a constant."""

from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.post("/predict")
def predict() -> Response:
    """The same answer to every body that is JSON."""
    request.get_json()
    return jsonify(probability=0.5)
