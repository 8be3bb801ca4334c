"""Search spaces of a sweep: values of settings, combined in a grid or drawn at random."""

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
"""The largest number of configurations in a grid."""


class Range(NamedTuple):
    """A range to draw numbers from, on a logarithmic scale if both ends are positive."""

    low: float
    high: float

    def draw(self, generator: np.random.Generator, *, integer: bool) -> float | int:
        """Draw one number, rounded to an integer or to four significant digits."""
        if self.low > 0:
            number = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        else:
            number = generator.uniform(self.low, self.high)
        return round(number) if integer else float(f"{number:.4g}")


SearchDimension = Sequence[Any] | Range
"""The values of one setting: a list to choose from, or a range to draw from."""


def parse_search_dimension(text: str) -> tuple[str, SearchDimension]:
    """Parse the value of ``--try``: ``NAME=A,B,C`` or ``NAME=LOW..HIGH``.

    The layers of one network are joined by ``x``, as in ``hidden=8,16x8``. ``hidden=none`` is
    logistic regression.

    Returns:
        The name of the setting and its values.

    Raises:
        InvalidConfig: the setting does not exist, or the values cannot be parsed.

    >>> parse_search_dimension("hidden=none,8,16x8")
    ('hidden', [(), (8,), (16, 8)])
    >>> parse_search_dimension("learning_rate=1e-4..1e-2")
    ('learning_rate', Range(low=0.0001, high=0.01))
    """
    name, _, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if name not in FIELD_TYPES:
        raise InvalidConfig(f"{name}: unknown setting; expected one of {', '.join(FIELD_TYPES)}")
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
            raise InvalidConfig(
                f"{name}: a range needs a numeric setting, with the lower end first"
            )
        return name, ends
    return name, [_parse_value(name, value.strip()) for value in values.split(",")]


def candidate_configs(
    base_config: TrainingConfig,
    search_space: Mapping[str, SearchDimension],
    *,
    n_samples: int | None = None,
    seed: int = 0,
) -> list[TrainingConfig]:
    """Return every combination of the values, or a random sample of them, without duplicates.

    Args:
        base_config: the configuration that provides all other settings.
        search_space: the values of each setting, by name.
        n_samples: how many combinations to draw; required if there is a range. None for all.
        seed: of the random draws.

    Raises:
        InvalidConfig: a value is out of range, a range has no ``n_samples``, or there are too many
            combinations.
    """
    ranges = [name for name, values in search_space.items() if isinstance(values, Range)]
    if n_samples is None and ranges:
        raise InvalidConfig(
            f"{', '.join(ranges)}: a range needs --sample, the number of combinations to draw"
        )
    combinations: list[dict[str, Any]]
    if n_samples is None:
        n = math.prod(len(v) for v in search_space.values() if not isinstance(v, Range))
        if n > MAX_CONFIGS:
            raise InvalidConfig(
                f"{n:,} combinations, but at most {MAX_CONFIGS:,} are allowed; "
                "draw some of them with --sample"
            )
        lists = [[(name, v) for v in values] for name, values in search_space.items()]
        combinations = [dict(pairs) for pairs in itertools.product(*lists)]
    else:
        generator = np.random.default_rng(seed)
        combinations = [
            {name: _draw_value(name, values, generator) for name, values in search_space.items()}
            for _ in range(n_samples)
        ]
    fixed = msgspec.structs.asdict(base_config)
    configs = [make_config(settings={**fixed, **combination}) for combination in combinations]
    return list(dict.fromkeys(configs))


def _draw_value(name: str, values: SearchDimension, generator: np.random.Generator) -> Any:
    if isinstance(values, Range):
        return values.draw(generator, integer=float not in _number_types(name))
    return values[int(generator.integers(len(values)))]


def _parse_value(name: str, text: str) -> Any:
    if name == "hidden":
        try:
            return () if text == "none" else tuple(int(units) for units in text.split("x"))
        except ValueError:
            raise InvalidConfig(
                f"hidden: expected units such as 16 or 16x8, or none; received {text!r}"
            ) from None
    for kind in (int, float):
        if kind in _number_types(name):
            try:
                return kind(text)
            except ValueError:
                continue
    return text  # make_config validates words


def _number_types(name: str) -> set[Any]:
    """Return which of int and float a setting accepts."""
    pending, types = [FIELD_TYPES[name]], set()
    while pending:
        annotation = pending.pop()
        types.add(annotation)
        pending += get_args(annotation)
    return types & {int, float}
