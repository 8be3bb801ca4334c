"""A lesson of the page, and the data that the lessons share."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np

from model.evaluation import Split, repeated_folds
from model.training import PROBABILITY_HEAD, Head, TrainingConfig
from model.training.ensemble import MemberSpec, fit_ensemble
from pipelines.data import Table, build_preprocessing
from pipelines.evaluation import SEED


@dataclass(frozen=True)
class Lesson:
    """One lesson as the page shows it.

    Attributes:
        key: the id in the page.
        title: the heading.
        figure: an ``<svg>`` element, as :func:`pipelines.html.svg.as_svg` returns it.
        sentences: two sentences: the run and its result. Their numbers are formatted by
            :func:`format_numbers`.
        common_mistake: a common mistake and its correction; empty for none.
    """

    key: str
    title: str
    figure: str
    sentences: tuple[str, str]
    common_mistake: str = ""

    def __post_init__(self) -> None:
        first, second = self.sentences
        object.__setattr__(self, "sentences", (format_numbers(first), format_numbers(second)))


class LessonData:
    """The table, its features, and ten folds with their own preprocessing.

    The preprocessing of a fold is fitted to the training rows of that fold only.
    """

    def __init__(self, table: Table) -> None:
        self.table, self.schema, self.labels = table, table.schema, table.labels

    @functools.cached_property
    def features(self) -> np.ndarray:
        """float64 (n, n_features), by a preprocessing fitted to all rows."""
        return build_preprocessing(self.schema).fit_transform(self.table.frame)

    @functools.cached_property
    def folds(self) -> list[Split]:
        """The training and test rows of each of ten folds."""
        return list(repeated_folds(self.labels, self.table.groups, n_repeats=1, seed=SEED))

    @functools.cached_property
    def fold_features(self) -> np.ndarray:
        """float64 (10, n, n_features): all rows, by the preprocessing of each fold."""
        return self.features_of([train for train, _ in self.folds])

    def features_of(self, trained_on: Sequence[np.ndarray]) -> np.ndarray:
        """Return the features of all rows, by one preprocessing for each set of training rows.

        Args:
            trained_on: row numbers, one array for each preprocessing.

        Returns:
            float64 (len(trained_on), n, n_features).
        """
        frame = self.table.frame
        return np.array(
            [
                build_preprocessing(self.schema).fit(frame.iloc[rows]).transform(frame)
                for rows in trained_on
            ]
        )

    def out_of_fold(
        self,
        configs: Sequence[TrainingConfig],
        labels: np.ndarray | None = None,
        head: Head = PROBABILITY_HEAD,
    ) -> np.ndarray:
        """Train networks on the folds and return their predictions for the test rows.

        Args:
            configs: one config for each set of ten networks.
            labels: labels in the form that the head takes; None for those of the table.
            head: the output layer.

        Returns:
            float64 (len(configs), n), or (len(configs), n, units) for a head of several units.
        """
        members = [
            MemberSpec(config, rows=train, table=number)
            for config in configs
            for number, (train, _) in enumerate(self.folds)
        ]
        ensemble = fit_ensemble(
            self.fold_features, self.labels if labels is None else labels, members, head=head
        )
        predictions = ensemble.predict(self.fold_features)
        predictions = predictions.reshape(len(configs), len(self.folds), *predictions.shape[1:])
        out_of_fold = np.empty((len(configs), *predictions.shape[2:]))
        for number, (_, test) in enumerate(self.folds):
            out_of_fold[:, test] = predictions[:, number, test]
        return out_of_fold


@contextmanager
def double_precision() -> Iterator[None]:
    """Let Keras compute in float64 within the context, because lessons show differences of 1e-6."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    # set_floatx does not change a dtype policy that Keras has already created.
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_numbers(text: str) -> str:
    """Format the numbers in a text: a true minus sign for a hyphen, powers of ten for ``e-06``.

    >>> format_numbers("from -0.5 to 1.6e-06")
    'from −0.5 to 1.6\xa0×\xa010⁻⁶'
    """

    def power(match: re.Match[str]) -> str:
        return f"{match[1]}\u00a0×\u00a010{str(int(match[2])).translate(_SUPERSCRIPTS)}"

    text = re.sub(r"(\d)e([+-]\d+)\b", power, text.replace("0e+00", "0"))
    return re.sub(r"(?<![\w)\]])-(?=\d)", "−", text)
