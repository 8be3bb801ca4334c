"""What a sweep found, as text and as a page with a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from model.evaluation import Estimate, bootstrap_statistic, estimate
from model.training import TrainingConfig
from pipelines.data import Table
from pipelines.html import COLOURS, DASHES, MARKERS, as_svg, label, panels, plot_style, render_page
from pipelines.tuning.nested_cv import NestedCvResult, count_networks

N_SHOWN = 12


class SelectionResult(msgspec.Struct, frozen=True):
    """A way of choosing, and what it is worth on patients whom the choice has not seen.

    Attributes:
        value: of the setting that the others were chosen for; "" where all were chosen together.
        chosen: what outer folds chose, most frequent first.
        loss: log loss, with its 95 % interval over patients.
        difference: loss minus that of the best way, paired.
    """

    value: str
    chosen: list[str]
    loss: Estimate
    difference: Estimate


class SweepReport(msgspec.Struct, frozen=True):
    """What a sweep found.

    Attributes:
        dimensions: the settings that differ.
        n_networks: trained.
        by_rule: choosing by the lowest inner loss, and by the rule of one standard error.
        by_value: the same for each value of one setting, by the lowest inner loss; may be empty.
        best: configs with the lowest losses, as (what differs, loss): optimistic, because they are
            the best of many.
        final, simplest: to train with on all patients, by either rule.
        svg: the plot.
    """

    dimensions: list[str]
    n_networks: int
    n_configs: int
    by_rule: dict[str, SelectionResult]
    by_value: list[SelectionResult]
    best: list[tuple[str, float]]
    final: str
    simplest: str
    svg: str


def summarise(
    nested_cv: NestedCvResult,
    table: Table,
    tried: Sequence[str],
    for_each: str | None,
    *,
    seed: int,
) -> SweepReport:
    """Put into words and numbers what a sweep found.

    Args:
        tried: names of the settings that differ.
        for_each: one of them, for each of whose values the others are chosen apart.
        seed: of the bootstrap of patients.
    """
    everyone = range(len(nested_cv.configs))
    rules = {"lowest inner loss": False, "one standard error": True}
    ways = _evaluate_rules(
        nested_cv, table, tried, [("", everyone, rule) for rule in rules.values()], seed
    )
    each: list[SelectionResult] = []
    if for_each:
        groups: dict[str, list[int]] = {}
        for number, config in enumerate(nested_cv.configs):
            groups.setdefault(format_setting(config, for_each), []).append(number)
        ordered = sorted_values(nested_cv.configs, for_each)
        each = _evaluate_rules(
            nested_cv, table, tried, [(v, groups[v], False) for v in ordered], seed
        )
    means = nested_cv.outer_losses.mean(axis=(1, 2))
    return SweepReport(
        dimensions=list(tried),
        n_networks=count_networks(len(nested_cv.configs), len(nested_cv.outer_folds)),
        n_configs=len(nested_cv.configs),
        by_rule=dict(zip(rules, ways, strict=True)),
        by_value=each,
        best=[
            (describe_config(nested_cv.configs[n], tried), float(means[n]))
            for n in np.argsort(means)[:N_SHOWN]
        ],
        final=describe_config(
            nested_cv.configs[nested_cv.select_final(one_standard_error=False)], tried
        ),
        simplest=describe_config(
            nested_cv.configs[nested_cv.select_final(one_standard_error=True)], tried
        ),
        svg=plot_losses(nested_cv, tried, for_each, {way.value: way.loss for way in each}),
    )


def format_report(report: SweepReport) -> str:
    """For the terminal."""
    lines = [
        f"{report.n_networks:,} networks, {report.n_configs} combinations of {', '.join(report.dimensions)}",
        "",
        "log loss on patients whom the choice has not seen, with its 95 % interval",
    ]
    for rule, way in report.by_rule.items():
        lines.append(f"  chosen by {rule:<20} {way.loss.format()}   mostly {way.chosen[0]}")
    if report.by_value:
        lines += ["", "the others chosen for each; difference to the best, paired"]
        lines += [
            f"  {way.value:<12} {way.loss.format()}   {way.difference.format('+')}   "
            f"mostly {way.chosen[0]}"
            for way in report.by_value
        ]
    lines += ["", "lowest losses on the outer folds (optimistic: the best of many)"]
    lines += [f"  {loss:.4f}  {told}" for told, loss in report.best]
    lines += ["", f"to train with on all patients: {report.final}"]
    lines += [f"by the rule of one standard error: {report.simplest}"]
    return "\n".join(lines)


def render_report(report: SweepReport, title: str, recipe: str, named: bool) -> str:
    """As one file without outside assets."""
    return render_page(
        "sweep.html", report=report, title=f"What was tried on {title}", recipe=recipe, is_named_recipe=named,
        tied=[way for way in report.by_value if way.difference.low <= 0],
    )  # fmt: skip


def _evaluate_rules(
    nested_cv: NestedCvResult,
    table: Table,
    tried: Sequence[str],
    asked: Sequence[tuple[str, Sequence[int], bool]],
    seed: int,
) -> list[SelectionResult]:
    """Figures of several ways of choosing: (value, numbers of configs, one standard error)."""
    losses = [
        nested_cv.nested_losses(among, one_standard_error=rule).mean(axis=0)
        for _, among, rule in asked
    ]
    drawn = bootstrap_statistic(
        lambda weights: weights @ np.transpose(losses) / weights.sum(axis=1, keepdims=True),
        table.groups,
        seed=seed,
    ).T
    best = int(np.argmin([loss.mean() for loss in losses]))
    found = []
    for (value, among, rule), loss, draws in zip(asked, losses, drawn, strict=True):
        chosen = nested_cv.select_per_fold(among, one_standard_error=rule).ravel()
        numbers, counts = np.unique(chosen, return_counts=True)
        found.append(
            SelectionResult(
                value=value,
                chosen=[
                    describe_config(nested_cv.configs[n], tried)
                    for n in numbers[np.argsort(-counts)]
                ],
                loss=estimate(draws, loss.mean(keepdims=True)),
                difference=estimate(draws - drawn[best], (loss - losses[best]).mean(keepdims=True)),
            )
        )
    return found


MAX_LINES = len(COLOURS)


def format_setting(config: TrainingConfig, name: str) -> str:
    """A setting as the command line takes it."""
    value: Any = getattr(config, name)
    if name == "hidden":
        return "x".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def describe_config(config: TrainingConfig, tried: Sequence[str]) -> str:
    """The settings in which configs differ."""
    return ", ".join(f"{name.replace('_', ' ')} {format_setting(config, name)}" for name in tried)


def sorted_values(configs: Sequence[TrainingConfig], name: str) -> list[str]:
    """The values of a setting that were tried: numbers by size, and words after them."""
    found = {getattr(config, name): format_setting(config, name) for config in configs}
    return [found[value] for value in sorted(found, key=lambda v: (isinstance(v, str), v))]


@plot_style()
def plot_losses(
    nested_cv: NestedCvResult,
    tried: Sequence[str],
    for_each: str | None,
    nested: Mapping[str, Estimate],
) -> str:
    """Loss over the values of one setting, a line for some of the values of the others.

    Args:
        for_each: the setting to go along; the one with most values if None.
        nested: by its values, the loss where the others were chosen inside the folds.
    """
    configs = nested_cv.configs
    across = for_each or max(tried, key=lambda name: len(sorted_values(configs, name)))
    ticks = sorted_values(configs, across)
    others = [name for name in tried if name != across]
    means = nested_cv.outer_losses.mean(axis=(1, 2)).tolist()
    lines: dict[str, dict[str, float]] = {}
    for config, loss in zip(configs, means, strict=True):
        lines.setdefault(describe_config(config, others), {})[format_setting(config, across)] = loss
    whole = [name for name, line in lines.items() if len(line) == len(ticks)]
    figure, (axes,) = panels(1, height=3.8)
    for number, name in enumerate(_evenly_spaced(whole, MAX_LINES - bool(nested))):
        axes.plot(
            ticks, [lines[name][tick] for tick in ticks], label=name, marker=MARKERS[number]
        )  # fmt: skip
    if not whole:
        places = [ticks.index(format_setting(config, across)) for config in configs]
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


def _evenly_spaced(names: Sequence[str], most: int) -> list[str]:
    """At most so many, evenly over all of them."""
    places = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    return [names[place] for place in places]
