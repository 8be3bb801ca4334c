"""Ask the service from Python, with nothing but the standard library.

    SERVICE=http://127.0.0.1:8080 API_KEY=… python examples/predict.py

API_KEY is needed only where the service has keys.
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
    """The service has refused a request.

    Attributes:
        code: the kind of problem, such as ``invalid_records``; docs/errors.md has them all.
        problems: what is wrong, by row and field; empty where it is not about records.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__(content["error"])
        self.code = content["type"].rpartition("/")[2]
        self.problems = content.get("errors", [])


class Service:
    """A running service.

    Args:
        api_key: sent along where it is not empty.
    """

    def __init__(self, address: str, api_key: str = "") -> None:
        self._address = address.rstrip("/")
        self._api_key = api_key

    def predict(self, records: list[Record]) -> list[dict[str, Any]]:
        """One prediction a record, in the same order.

        Raises:
            ServiceError: the service answered that something is wrong.
            OSError: it did not answer.
        """
        return self._post("/predict", {"instances": records})["predictions"]

    def explain(self, records: list[Record]) -> list[dict[str, Any]]:
        """As :meth:`predict`, each with an ``explanation``."""
        return self._post("/explain", {"instances": records})["predictions"]

    def _post(self, path: str, content: Any) -> Any:
        # Under this id the service's log says what happened to the request.
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
                raise  # a proxy in between has answered, and not the service
            with error:
                raise ServiceError(json.load(error)) from None


def main() -> None:
    """Predict one and many, explain, and handle an error."""
    service = Service(os.environ.get("SERVICE", "http://127.0.0.1:8080"), os.getenv("API_KEY", ""))

    (answer,) = service.predict([PATIENT])
    print(f"one: {answer['probability']:.4f} {answer['label']}")

    unknown = {**PATIENT, "ca": None, "thal": None}
    for row, answer in enumerate(service.predict([PATIENT, unknown])):
        without = f" without {', '.join(answer['missing'])}" if answer["missing"] else ""
        print(f"many: row {row}: {answer['probability']:.4f} {answer['label']}{without}")

    try:
        (answer,) = service.explain([PATIENT])
        contributions = answer["explanation"]["contributions"].items()
        for name, log_odds in sorted(contributions, key=lambda pair: -abs(pair[1]))[:3]:
            print(f"explained: {name} {log_odds:+.2f}")
    except ServiceError as error:
        print(f"not explained: {error}")  # not_explainable, forbidden

    try:
        service.predict([PATIENT, {**PATIENT, "age": 630, "thal": "fixd"}])
    except ServiceError as error:
        for problem in error.problems:
            hint = f"; {problem['did_you_mean']}?" if "did_you_mean" in problem else ""
            print(f"mend: row {problem['row']}, {problem['field']}: {problem['message']}{hint}")


if __name__ == "__main__":
    try:
        main()
    except ServiceError as error:
        sys.exit(f"refused: {error}")
    except OSError as error:
        sys.exit(f"no answer: {error}")
