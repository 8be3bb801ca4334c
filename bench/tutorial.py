"""The service as tutorials build it: Flask, pandas, ``ColumnTransformer``, ``model.predict``.

The network is that of the store's current version. A tutorial would unpickle the preprocessing. An
artifact contains no pickle, so the preprocessing is fitted here on the training table.
"""

from __future__ import annotations

import pandas as pd
from flask import Flask, Response, jsonify, request

from app.settings import Settings
from model.artifacts import Store
from pipelines.cli.options import DEFAULT_DATA
from pipelines.data import build_preprocessing, read_table
from pipelines.training import load_keras_network

_store = Store(Settings.from_environment().model_store)
_artifact = _store.read(_store.current().version)
preprocessing = build_preprocessing(_artifact.schema)
preprocessing.fit(read_table(DEFAULT_DATA, _artifact.schema).frame)
network = load_keras_network(_artifact)

app = Flask(__name__)


@app.post("/predict")
def predict() -> Response:
    """Return the probability of one record, encoded like the training frame."""
    features = preprocessing.transform(pd.DataFrame([request.get_json()]))
    return jsonify(probability=float(network.predict(features, verbose=0)[0, 0]))
