"""Learning curves by epoch and by number of training records."""

from __future__ import annotations

from functools import partial

import numpy as np

from model.evaluation import (
    bootstrap_statistic,
    log_loss,
    percentile_interval,
    prevalence_log_loss,
)
from pipelines.evaluation import SEED
from pipelines.html import COLOURS, DASHES, FILLS, MARKERS, as_svg, label, panels, plot_style
from pipelines.report.auxiliary_networks import N_SEEDS, AuxiliaryNetworks
from pipelines.report.blocks import FigureBlock, Section, format_number
from pipelines.report.context import ReportContext

LOSS_LABELS = {
    "cross_entropy": "cross-entropy, nats",
    "focal": "focal loss, nats",
    "squared_error": "squared error",
}


def learning_curves(context: ReportContext, auxiliary: AuxiliaryNetworks) -> Section:
    """Return the section on the learning curves.

    They show whether the network was trained for too few or too many epochs, and whether more
    records would improve it.

    Args:
        context: the training that the report is about.
        auxiliary: the networks trained for the report.
    """
    validation_loss = np.nanmean(auxiliary.folds.ensemble.validation_losses(), axis=1)
    best, last = int(np.argmin(validation_loss)) + 1, len(validation_loss)
    smallest, largest = auxiliary.by_size[0], _full_training_size(auxiliary)
    return Section(
        "learning",
        "Learning curves",
        [
            f"{len(auxiliary.folds.rows)} folds, {N_SEEDS} networks each from different first "
            "weights: the loss of the records that a network did not see is lowest after epoch "
            f"{best} of {last}, and "
            f"{format_number(float(validation_loss[-1] - validation_loss[best - 1]), 4)} higher "
            "after the last one.",
            _over_epochs(context, auxiliary),
            f"On records that they did not see, networks trained on {largest[0]:.0f} records have "
            f"a log loss of {format_number(_log_loss(auxiliary, largest[1]))}, and on "
            f"{smallest[0]:.0f} records one of {format_number(_log_loss(auxiliary, smallest[1]))}. "
            "The recipe is the same, so fewer records also mean fewer steps of the optimiser.",
            _over_records(auxiliary),
        ],
    )


@plot_style()
def _over_epochs(context: ReportContext, auxiliary: AuxiliaryNetworks) -> FigureBlock:
    figure, (axes,) = panels(1, height=3.0)
    ensemble = auxiliary.folds.ensemble
    losses, validation_losses = ensemble.losses(), ensemble.validation_losses()
    epochs = np.arange(1, len(losses) + 1)
    low, high = np.nanquantile(validation_losses, [0.1, 0.9], axis=1)
    axes.fill_between(
        epochs, low, high, color=FILLS[0], linewidth=0, label="the middle 80 % of the folds"
    )
    axes.plot(
        epochs,
        np.nanmean(validation_losses, axis=1),
        color=COLOURS[1],
        linestyle=DASHES[0],
        label="folds: records not seen",
    )
    axes.plot(
        epochs,
        np.nanmean(losses, axis=1),
        color=COLOURS[2],
        linestyle=DASHES[1],
        label="folds: training records",
    )
    own_losses = context.history["loss"]
    axes.plot(
        np.arange(1, len(own_losses) + 1),
        own_losses,
        color=COLOURS[0],
        linestyle=DASHES[2],
        label="this network: training records",
    )
    if "val_loss" in context.history:
        axes.plot(
            np.arange(1, len(own_losses) + 1),
            context.history["val_loss"],
            color=COLOURS[3],
            linestyle=DASHES[3],
            label="this network: validation records",
        )
    label(axes, "epoch (passes over the records)", f"loss ({LOSS_LABELS[context.config.loss]})")
    axes.legend()
    return FigureBlock(
        as_svg(figure, "Loss after every epoch, of training records and of records not seen."),
        "Loss after every epoch, with the penalty on large weights. A curve of records not seen "
        "that turns upwards would say that training went on too long.",
    )


@plot_style()
def _over_records(auxiliary: AuxiliaryNetworks) -> FigureBlock:
    figure, (axes,) = panels(1, height=2.7)
    by_size = [*auxiliary.by_size, _full_training_size(auxiliary)]
    sizes = np.array([size for size, _ in by_size])
    intervals = np.array([_interval(auxiliary, held_out) for _, held_out in by_size])
    axes.errorbar(
        sizes,
        intervals[:, 0],
        [intervals[:, 0] - intervals[:, 1], intervals[:, 2] - intervals[:, 0]],
        color=COLOURS[0],
        marker=MARKERS[0],
        linestyle=DASHES[0],
        capsize=3,
        elinewidth=1,
        label="networks, with 95 % interval",
    )
    axes.axhline(
        prevalence_log_loss(auxiliary.table.labels),
        color=COLOURS[5],
        linestyle=DASHES[1],
        label="the share of positives for all",
    )
    label(axes, "records trained on", "log loss (nats)")
    axes.legend()
    return FigureBlock(
        as_svg(figure, "Log loss on records not seen, by number of records trained on."),
        "Log loss on records not seen, by number of records trained on; intervals from a bootstrap "
        "of records. A curve that still falls at its right end asks for more records.",
    )


def _full_training_size(auxiliary: AuxiliaryNetworks) -> tuple[float, np.ndarray]:
    """Return the mean size of a fold's training set, and the out-of-fold probabilities (n,).

    They are those of the first network of each fold, as the smaller sizes have one network a fold.
    """
    sizes = [len(fold.train) for fold in auxiliary.folds.rows]
    return float(np.mean(sizes)), auxiliary.folds.out_of_fold()[0, 0]


def _log_loss(auxiliary: AuxiliaryNetworks, held_out: np.ndarray) -> float:
    labels = auxiliary.table.labels
    return float(log_loss(labels, held_out[None], np.ones((1, len(labels))))[0])


def _interval(auxiliary: AuxiliaryNetworks, held_out: np.ndarray) -> tuple[float, float, float]:
    table = auxiliary.table
    draws = bootstrap_statistic(
        partial(log_loss, table.labels, held_out[None]), table.groups, seed=SEED
    )
    low, high = percentile_interval(draws)
    return _log_loss(auxiliary, held_out), float(low), float(high)
