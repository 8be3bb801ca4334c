"""What a sweep is to try: values of settings, in a grid or drawn at random."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

import msgspec
import numpy as np

from model.errors import InvalidConfig
from model.training import FIELD_TYPES, TrainingConfig, make_config

MAX_CONFIGS = 100_000
"""Configs that a sweep may have."""


class Range(NamedTuple):
    """Numbers to draw from, on a logarithmic scale where both ends are positive."""

    low: float
    high: float

    def draw(self, generator: np.random.Generator, *, whole: bool) -> float | int:
        """One number, to four digits."""
        if self.low > 0:
            found = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        else:
            found = generator.uniform(self.low, self.high)
        return round(found) if whole else float(f"{found:.4g}")


SearchDimension = Sequence[Any] | Range


def parse_search_dimension(given: str) -> tuple[str, SearchDimension]:
    """One option of the command line: ``NAME=A,B,C`` or ``NAME=LOW..HIGH``.

    Layers of one network are joined by ``x``: ``hidden=8,16x8``; ``hidden=none`` is logistic
    regression.

    Raises:
        InvalidConfig: no such setting, or nothing to try.

    >>> parse_search_dimension("hidden=none,8,16x8")
    ('hidden', [(), (8,), (16, 8)])
    >>> parse_search_dimension("learning_rate=1e-4..1e-2")
    ('learning_rate', Range(low=0.0001, high=0.01))
    """
    name, _, values = given.partition("=")
    name = name.strip().replace("-", "_")
    if name not in FIELD_TYPES:
        raise InvalidConfig(
            f"{name}: there is no such setting; {', '.join(FIELD_TYPES)} can be tried"
        )
    if not values.strip():
        raise InvalidConfig(f"{name}: expected NAME=A,B,C or NAME=LOW..HIGH")
    low, dots, high = values.partition("..")
    if dots:
        try:
            ends = Range(float(low), float(high))
        except ValueError:
            raise InvalidConfig(
                f"{name}: expected two numbers around .., as in 1e-4..1e-2"
            ) from None
        if not (ends.low < ends.high and _number_types(name)):
            raise InvalidConfig(f"{name}: expected a setting that is a number, the lower end first")
        return name, ends
    return name, [_parse_value(name, value.strip()) for value in values.split(",")]


def candidate_configs(
    start: TrainingConfig,
    search_space: Mapping[str, SearchDimension],
    *,
    n_samples: int | None = None,
    seed: int = 0,
) -> list[TrainingConfig]:
    """Every combination of the values, or so many drawn at random, without repeats.

    Args:
        start: what is not tried stays as it is there.
        n_samples: how many to draw; needed where there is a range.

    Raises:
        InvalidConfig: a value out of its limits, a range without a number to draw, or too many
            combinations.
    """
    ranges = [name for name, values in search_space.items() if isinstance(values, Range)]
    if n_samples is None and ranges:
        raise InvalidConfig(f"{', '.join(ranges)}: a range needs --sample, how many to draw")
    chosen: list[dict[str, Any]]
    if n_samples is None:
        n = math.prod(len(v) for v in search_space.values() if not isinstance(v, Range))
        if n > MAX_CONFIGS:
            raise InvalidConfig(
                f"{n:,} combinations; at most {MAX_CONFIGS:,}, or --sample some of them"
            )
        lists = [[(name, v) for v in values] for name, values in search_space.items()]
        chosen = [dict(pairs) for pairs in itertools.product(*lists)]
    else:
        generator = np.random.default_rng(seed)
        chosen = [
            {name: _draw_value(name, values, generator) for name, values in search_space.items()}
            for _ in range(n_samples)
        ]
    fixed = msgspec.structs.asdict(start)
    configs = [make_config(settings={**fixed, **choice}) for choice in chosen]
    return list(dict.fromkeys(configs))


def _draw_value(name: str, values: SearchDimension, generator: np.random.Generator) -> Any:
    if isinstance(values, Range):
        return values.draw(generator, whole=float not in _number_types(name))
    return values[int(generator.integers(len(values)))]


def _parse_value(name: str, text: str) -> Any:
    if name == "hidden":
        try:
            return () if text == "none" else tuple(int(units) for units in text.split("x"))
        except ValueError:
            raise InvalidConfig(
                f"hidden: expected units such as 16 or 16x8, or none: {text}"
            ) from None
    for kind in (int, float):
        if kind in _number_types(name):
            try:
                return kind(text)
            except ValueError:
                continue
    return text  # a word; the config says which may be


def _number_types(name: str) -> set[Any]:
    """The kinds of number that a setting may be."""
    parts, found = [FIELD_TYPES[name]], set()
    while parts:
        part = parts.pop()
        found.add(part)
        parts += get_args(part)
    return found & {int, float}
