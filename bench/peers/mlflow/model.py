"""MLflow: the graph as a model written in code, which ``mlflow models serve`` loads."""

from typing import Any

import mlflow
import pandas as pd

from bench.peers.heart import check_ranges, coded, open_graph


class Heart(mlflow.pyfunc.PythonModel):
    """MLflow checks the columns' names and types by the signature; the rest is checked here."""

    def load_context(self, context: Any) -> None:
        """Open the graph that was saved with the model."""
        self._score = open_graph(context.artifacts["graph"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[float]:
        """The probabilities of the records of a frame."""
        try:
            names = list(model_input.columns)
            records = model_input.to_numpy(
                dtype=object
            ).tolist()  # to_dict took a fifth of a request
            rows = [coded(dict(zip(names, record, strict=True))) for record in records]
            for row in rows:
                check_ranges(row)
        except (KeyError, ValueError) as error:
            raise mlflow.MlflowException.invalid_parameter_value("a value is wrong") from error
        return self._score(rows)


mlflow.models.set_model(Heart())
