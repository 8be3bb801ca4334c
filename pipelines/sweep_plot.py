"""The plot of a sweep, and how its configs are told apart in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from model.bootstrap import Figure
from model.config import TrainingConfig
from pipelines.drawing import COLOURS, DASHES, MARKERS, as_svg, house_style, label, panels
from pipelines.sweeping import Sweep

MAX_LINES = len(COLOURS)


def value_of(config: TrainingConfig, name: str) -> str:
    """A setting as the command line takes it."""
    value: Any = getattr(config, name)
    if name == "hidden":
        return "x".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def differences(config: TrainingConfig, tried: Sequence[str]) -> str:
    """The settings in which configs differ."""
    return ", ".join(f"{name.replace('_', ' ')} {value_of(config, name)}" for name in tried)


def values_in_order(configs: Sequence[TrainingConfig], name: str) -> list[str]:
    """The values of a setting that were tried: numbers by size, and words after them."""
    found = {getattr(config, name): value_of(config, name) for config in configs}
    return [found[value] for value in sorted(found, key=lambda v: (isinstance(v, str), v))]


@house_style()
def plot(
    sweep: Sweep, tried: Sequence[str], for_each: str | None, nested: Mapping[str, Figure]
) -> str:
    """Loss over the values of one setting, a line for some of the values of the others.

    Args:
        for_each: the setting to go along; the one with most values if None.
        nested: by its values, the loss where the others were chosen inside the folds.
    """
    configs = sweep.configs
    across = for_each or max(tried, key=lambda name: len(values_in_order(configs, name)))
    ticks = values_in_order(configs, across)
    others = [name for name in tried if name != across]
    means = sweep.outer.mean(axis=(1, 2)).tolist()
    lines: dict[str, dict[str, float]] = {}
    for config, loss in zip(configs, means, strict=True):
        lines.setdefault(differences(config, others), {})[value_of(config, across)] = loss
    whole = [name for name, line in lines.items() if len(line) == len(ticks)]
    figure, (axes,) = panels(1, height=3.8)
    for number, name in enumerate(_some(whole, MAX_LINES - bool(nested))):
        axes.plot(
            ticks, [lines[name][tick] for tick in ticks], label=name, marker=MARKERS[number]
        )  # fmt: skip
    if not whole:
        places = [ticks.index(value_of(config, across)) for config in configs]
        axes.plot(places, means, linestyle="", marker="o", label="one combination each")
    if nested:
        figures = [nested[tick] for tick in ticks]
        last: dict[str, Any] = {
            "color": COLOURS[-1],
            "linestyle": DASHES[-1],
            "marker": MARKERS[-1],
        }
        axes.plot(ticks, [f.value for f in figures], label="others chosen inside the folds", **last)
        axes.fill_between(
            ticks, [f.low for f in figures], [f.high for f in figures], alpha=0.2, linewidth=0,
            color=COLOURS[-1], label="its 95 % interval over patients",
        )  # fmt: skip
    figure.legend(loc="outside upper center", ncols=3)  # over no line
    words = across.replace("_", " ")
    label(
        axes,
        "hidden units" if across == "hidden" else words,
        "log loss of held-out patients (nats)",
    )
    return as_svg(figure, f"Log loss of held-out patients over the values of {words}.")


def _some(names: Sequence[str], most: int) -> list[str]:
    """At most so many, evenly over all of them."""
    places = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    return [names[place] for place in places]
