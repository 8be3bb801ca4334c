"""A subject of the page, and the table that the subjects share."""

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
    """One subject, as the page shows it.

    Attributes:
        key: its id in the page.
        figure: an ``<svg>`` element, as :func:`pipelines.html.svg.as_svg` gives it.
        sentences: two: what was run, and what it showed.
        common_mistake: a common slip, put right; empty for none.
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
    """The table, its features, and folds of it whose preprocessing never saw the rows tested."""

    def __init__(self, table: Table) -> None:
        self.table, self.schema, self.labels = table, table.schema, table.labels

    @functools.cached_property
    def features(self) -> np.ndarray:
        """float64 (n, n_features), from a preprocessing of all rows."""
        return build_preprocessing(self.schema).fit_transform(self.table.frame)

    @functools.cached_property
    def folds(self) -> list[Split]:
        """Ten folds: rows to train on, and rows to test."""
        return list(repeated_folds(self.labels, self.table.groups, n_repeats=1, seed=SEED))

    @functools.cached_property
    def fold_features(self) -> np.ndarray:
        """float64 (10, n, n_features): all rows, through the preprocessing of each fold."""
        return self.features_of([train for train, _ in self.folds])

    def features_of(self, trained_on: Sequence[np.ndarray]) -> np.ndarray:
        """float64 (len(trained_on), n, n_features): through one preprocessing for each."""
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
        """What networks say of the rows of the folds that they were not trained on.

        Args:
            labels: other ones than those of the table, in the form that the head takes.

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
        said = ensemble.predict(self.fold_features)
        said = said.reshape(len(configs), len(self.folds), *said.shape[1:])
        found = np.empty((len(configs), *said.shape[2:]))
        for number, (_, test) in enumerate(self.folds):
            found[:, test] = said[:, number, test]
        return found


@contextmanager
def double_precision() -> Iterator[None]:
    """Let Keras compute in float64 meanwhile: differences of 1e-6 are to be seen."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    # Keras keeps the policy that it made of the type of numbers it was first asked for.
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_numbers(text: str) -> str:
    """Numbers as they are printed: a minus and not a hyphen, powers of ten and not ``e-06``.

    >>> format_numbers("from -0.5 to 1.6e-06")
    'from −0.5 to 1.6\xa0×\xa010⁻⁶'
    """

    def power(found: re.Match[str]) -> str:
        return f"{found[1]}\u00a0×\u00a010{str(int(found[2])).translate(_SUPERSCRIPTS)}"

    text = re.sub(r"(\d)e([+-]\d+)\b", power, text.replace("0e+00", "0"))
    return re.sub(r"(?<![\w)\]])-(?=\d)", "−", text)
