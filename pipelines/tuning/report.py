"""Results of a sweep as text and as an HTML page with a plot."""

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
"""Configurations in the list of the lowest losses."""

MAX_LINES = len(COLOURS)
"""Lines in the plot: one for each colour."""


class SelectionResult(msgspec.Struct, frozen=True):
    """A selection rule and its loss on patients whom the selection has not seen.

    Attributes:
        value: the fixed value of the setting of ``--for-each``; "" if all settings were selected.
        chosen: the configurations that outer folds selected, most frequent first.
        loss: log loss, with its 95 % interval over patients.
        difference: paired difference in log loss to the best rule.
    """

    value: str
    chosen: list[str]
    loss: Estimate
    difference: Estimate


class SweepReport(msgspec.Struct, frozen=True):
    """The results of a sweep.

    Attributes:
        dimensions: names of the settings that vary.
        n_networks: number of networks trained.
        n_configs: number of configurations.
        by_rule: selection by the lowest inner loss, and by the one-standard-error rule.
        by_value: selection by the lowest inner loss for each value of one setting; may be empty.
        best: configurations with the lowest outer losses, as (settings, loss). The losses are
            optimistic, because they are the best of many.
        final, simplest: the configuration for training on all patients, by either rule.
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
    dimensions: Sequence[str],
    for_each: str | None,
    *,
    seed: int,
) -> SweepReport:
    """Summarise the losses of a sweep.

    Args:
        dimensions: names of the settings that vary.
        for_each: one of them, for each of whose values the other settings are selected.
        seed: of the bootstrap of patients.
    """
    configs = nested_cv.configs
    rules = {"lowest inner loss": False, "one standard error": True}
    by_rule = _evaluate_rules(
        nested_cv,
        table,
        dimensions,
        [("", range(len(configs)), rule) for rule in rules.values()],
        seed,
    )
    by_value: list[SelectionResult] = []
    if for_each:
        indices: dict[str, list[int]] = {}
        for index, config in enumerate(configs):
            indices.setdefault(format_setting(config, for_each), []).append(index)
        by_value = _evaluate_rules(
            nested_cv,
            table,
            dimensions,
            [(value, indices[value], False) for value in sorted_values(configs, for_each)],
            seed,
        )
    losses = nested_cv.outer_losses.mean(axis=(1, 2))
    final, simplest = (
        describe_config(configs[nested_cv.select_final(one_standard_error=rule)], dimensions)
        for rule in (False, True)
    )
    return SweepReport(
        dimensions=list(dimensions),
        n_networks=count_networks(len(configs), len(nested_cv.outer_folds)),
        n_configs=len(configs),
        by_rule=dict(zip(rules, by_rule, strict=True)),
        by_value=by_value,
        best=[
            (describe_config(configs[index], dimensions), float(losses[index]))
            for index in np.argsort(losses)[:N_SHOWN]
        ],
        final=final,
        simplest=simplest,
        svg=plot_losses(
            nested_cv, dimensions, for_each, {result.value: result.loss for result in by_value}
        ),
    )


def _evaluate_rules(
    nested_cv: NestedCvResult,
    table: Table,
    dimensions: Sequence[str],
    rules: Sequence[tuple[str, Sequence[int], bool]],
    seed: int,
) -> list[SelectionResult]:
    """Evaluate selection rules, each (value, indices of configurations, one standard error)."""
    losses = [
        nested_cv.nested_losses(among, one_standard_error=one_standard_error).mean(axis=0)
        for _, among, one_standard_error in rules
    ]
    samples = bootstrap_statistic(
        lambda weights: weights @ np.transpose(losses) / weights.sum(axis=1, keepdims=True),
        table.groups,
        seed=seed,
    ).T
    best = int(np.argmin([loss.mean() for loss in losses]))
    results = []
    for (value, among, one_standard_error), loss, sample in zip(
        rules, losses, samples, strict=True
    ):
        selected = nested_cv.select_per_fold(among, one_standard_error=one_standard_error).ravel()
        indices, counts = np.unique(selected, return_counts=True)
        results.append(
            SelectionResult(
                value=value,
                chosen=[
                    describe_config(nested_cv.configs[index], dimensions)
                    for index in indices[np.argsort(-counts)]
                ],
                loss=estimate(sample, loss.mean()),
                difference=estimate(sample - samples[best], (loss - losses[best]).mean()),
            )
        )
    return results


def format_report(report: SweepReport) -> str:
    """Return the results as text for a terminal."""
    lines = [
        f"{report.n_networks:,} networks, {report.n_configs} combinations of "
        f"{', '.join(report.dimensions)}",
        "",
        "log loss of patients whom the selection has not seen, with its 95 % interval",
    ]
    lines += [
        f"  selected by {rule:<20} {result.loss.format()}   most often {result.chosen[0]}"
        for rule, result in report.by_rule.items()
    ]
    if report.by_value:
        lines += ["", "each value, with the other settings selected; paired difference to the best"]
        lines += [
            f"  {result.value:<12} {result.loss.format()}   {result.difference.format('+')}   "
            f"most often {result.chosen[0]}"
            for result in report.by_value
        ]
    lines += [
        "",
        "lowest losses on the outer folds (optimistic, because they are the best of many)",
    ]
    lines += [f"  {loss:.4f}  {config}" for config, loss in report.best]
    lines += ["", f"for training on all patients: {report.final}"]
    lines += [f"by the one-standard-error rule: {report.simplest}"]
    return "\n".join(lines)


def render_report(report: SweepReport, title: str, recipe: str, is_named_recipe: bool) -> str:
    """Return the results as an HTML page in one file.

    Args:
        title: of the table.
        recipe: name of the recipe that provides the settings that do not vary.
        is_named_recipe: False if some of its settings were changed.
    """
    return render_page(
        "sweep.html",
        report=report,
        title=f"Hyperparameter search on {title}",
        recipe=recipe,
        is_named_recipe=is_named_recipe,
        tied=[result for result in report.by_value if result.difference.low <= 0],
    )


def format_setting(config: TrainingConfig, name: str) -> str:
    """Return the value of a setting in the notation of the command line."""
    value: Any = getattr(config, name)
    if name == "hidden":
        return "x".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def describe_config(config: TrainingConfig, dimensions: Sequence[str]) -> str:
    """Return the names and values of the settings that vary."""
    return ", ".join(
        f"{name.replace('_', ' ')} {format_setting(config, name)}" for name in dimensions
    )


def sorted_values(configs: Sequence[TrainingConfig], name: str) -> list[str]:
    """Return the values of a setting, numbers in ascending order and then words."""
    texts = {getattr(config, name): format_setting(config, name) for config in configs}
    return [texts[value] for value in sorted(texts, key=lambda v: (isinstance(v, str), v))]


@plot_style()
def plot_losses(
    nested_cv: NestedCvResult,
    dimensions: Sequence[str],
    for_each: str | None,
    nested: Mapping[str, Estimate],
) -> str:
    """Plot the loss over the values of one setting, with lines for values of the others.

    Args:
        for_each: the setting on the x axis; if None, the one with most values.
        nested: by value of that setting, the loss with the other settings selected in inner folds.
    """
    configs = nested_cv.configs
    x_setting = for_each or max(dimensions, key=lambda name: len(sorted_values(configs, name)))
    ticks = sorted_values(configs, x_setting)
    others = [name for name in dimensions if name != x_setting]
    losses = nested_cv.outer_losses.mean(axis=(1, 2)).tolist()
    lines: dict[str, dict[str, float]] = {}
    for config, loss in zip(configs, losses, strict=True):
        line = lines.setdefault(describe_config(config, others), {})
        line[format_setting(config, x_setting)] = loss
    complete = [name for name, line in lines.items() if len(line) == len(ticks)]
    figure, (axes,) = panels(1, height=3.8)
    for number, name in enumerate(_evenly_spaced(complete, MAX_LINES - bool(nested))):
        axes.plot(ticks, [lines[name][tick] for tick in ticks], label=name, marker=MARKERS[number])
    if not complete:
        positions = [ticks.index(format_setting(config, x_setting)) for config in configs]
        axes.plot(positions, losses, linestyle="", marker="o", label="one combination each")
    if nested:
        estimates = [nested[tick] for tick in ticks]
        axes.plot(
            ticks,
            [e.value for e in estimates],
            label="others selected in inner folds",
            color=COLOURS[-1],
            linestyle=DASHES[-1],
            marker=MARKERS[-1],
        )
        axes.fill_between(
            ticks,
            [e.low for e in estimates],
            [e.high for e in estimates],
            alpha=0.2,
            linewidth=0,
            color=COLOURS[-1],
            label="its 95 % interval over patients",
        )
    figure.legend(loc="outside upper center", ncols=3)  # outside, to cover no line
    x_title = "hidden units" if x_setting == "hidden" else x_setting.replace("_", " ")
    label(axes, x_title, "log loss of held-out patients (nats)")
    return as_svg(figure, f"Log loss of held-out patients over the values of {x_title}.")


def _evenly_spaced(names: Sequence[str], n_max: int) -> list[str]:
    """Return at most ``n_max`` of the names, evenly spaced."""
    n = min(n_max, len(names))
    indices = np.unique(np.linspace(0, len(names) - 1, n).round().astype(int))
    return [names[index] for index in indices]
