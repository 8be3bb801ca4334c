"""A lesson of the page, and the data that the lessons share."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np

from model.training import PROBABILITY_HEAD, Head, TrainingConfig
from pipelines.data import Table, build_preprocessing
from pipelines.evaluation import SEED, FoldRows, fit_fold_networks, prepare_folds
from pipelines.evaluation.folds import Folds


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
    def folds(self) -> Folds:
        """The ten folds of the table."""
        return prepare_folds(self.table, seed=SEED, n_repeats=1)

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
        networks = fit_fold_networks(
            self.table,
            [FoldRows(*split) for split in self.folds.splits],
            [configs] * len(self.folds),
            encodings=self.folds.encodings,
            labels=labels,
            head=head,
        )
        return networks.out_of_fold()[:, 0]


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
