"""A client of the service in Python that needs only the standard library.

    SERVICE=http://127.0.0.1:8080 API_KEY=… python examples/predict.py

API_KEY is only needed if the service has API keys.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
import uuid
from typing import Any

Record = dict[str, Any]

PATIENT: Record = {
    "age": 63,
    "sex": "male",
    "cp": "asymptomatic",
    "trestbps": 145,
    "chol": 233,
    "fbs": "yes",
    "restecg": "left ventricular hypertrophy",
    "thalach": 150,
    "exang": "no",
    "oldpeak": 2.3,
    "slope": "downsloping",
    "ca": 0,
    "thal": "fixed",
}


class ServiceError(Exception):
    """An error response of the service.

    Attributes:
        code: error code, such as ``invalid_records``; docs/errors.md lists all codes.
        problems: the problems of the records by row and field; empty for other errors.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__(content["error"])
        self.code = content["type"].rpartition("/")[2]
        self.problems = content.get("errors", [])


class Service:
    """A client of a running service.

    Args:
        address: base URL of the service.
        api_key: API key; empty for none.
    """

    def __init__(self, address: str, api_key: str = "") -> None:
        self._address = address.rstrip("/")
        self._api_key = api_key

    def predict(self, records: list[Record]) -> list[dict[str, Any]]:
        """Return one prediction per record, in the same order.

        Raises:
            ServiceError: the service returned an error response.
            OSError: the service did not respond.
        """
        return self._post("/predict", {"instances": records})["predictions"]

    def explain(self, records: list[Record]) -> list[dict[str, Any]]:
        """Return one prediction per record, each with an ``explanation``."""
        return self._post("/explain", {"instances": records})["predictions"]

    def _post(self, path: str, content: Any) -> Any:
        # The service logs the request under this id.
        headers = {
            "Content-Type": "application/json",
            "X-Request-ID": f"example-{uuid.uuid4()}",
        }
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        body = json.dumps(content).encode()
        request = urllib.request.Request(self._address + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if "json" not in error.headers.get("Content-Type", ""):
                raise  # the response is from a proxy, not from the service
            with error:
                raise ServiceError(json.load(error)) from None


def main() -> None:
    """Predict one record and several, explain one, and handle an error."""
    service = Service(os.environ.get("SERVICE", "http://127.0.0.1:8080"), os.getenv("API_KEY", ""))

    (prediction,) = service.predict([PATIENT])
    print(f"one: {prediction['probability']:.4f} {prediction['label']}")

    incomplete = {**PATIENT, "ca": None, "thal": None}
    for row, prediction in enumerate(service.predict([PATIENT, incomplete])):
        missing = f", missing {', '.join(prediction['missing'])}" if prediction["missing"] else ""
        print(f"many: row {row}: {prediction['probability']:.4f} {prediction['label']}{missing}")

    try:
        (prediction,) = service.explain([PATIENT])
        contributions = prediction["explanation"]["contributions"].items()
        for name, log_odds in sorted(contributions, key=lambda pair: -abs(pair[1]))[:3]:
            print(f"explained: {name} {log_odds:+.2f}")
    except ServiceError as error:
        print(f"not explained: {error}")  # not_explainable, forbidden

    try:
        service.predict([PATIENT, {**PATIENT, "age": 630, "thal": "fixd"}])
    except ServiceError as error:
        for problem in error.problems:
            hint = f"; {problem['did_you_mean']}?" if "did_you_mean" in problem else ""
            print(f"invalid: row {problem['row']}, {problem['field']}: {problem['message']}{hint}")


if __name__ == "__main__":
    try:
        main()
    except ServiceError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"no response: {error}")
