"""Results of the report's sections, compared with simpler computations."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from model.calibration import Calibration
from model.evaluation import log_loss
from model.schema import Column, Subgroups
from model.training import build_network, predict
from pipelines.report.auxiliary_networks import (
    N_SEEDS,
    AuxiliaryNetworks,
    config_without_validation,
)
from pipelines.report.blocks import format_number, join_with_and, percent
from pipelines.report.context import ReportContext
from pipelines.report.learning_curves import learning_curves
from pipelines.report.loss_surface import loss_along, random_direction
from pipelines.report.partial_dependence import partial_dependence
from pipelines.report.performance import apparent_metrics, estimate_optimism
from pipelines.report.permutation_importance import (
    N_SHUFFLES,
    held_out_losses,
    held_out_rows,
    permutation_importance,
    shuffle_column,
)
from pipelines.report.subgroups import evaluate_subgroups, subgroups
from pipelines.report.tripod_ai import ITEMS, NOT_REPORTED, fill_items, reporting_items
from pipelines.report.weight_space import log_odds, stack_networks


def with_ignored_features(
    auxiliary: AuxiliaryNetworks, features: Sequence[int]
) -> AuxiliaryNetworks:
    """Return a copy in which the networks of the folds have zero weights for some features."""
    results = []
    for result in auxiliary.folds.results:
        kernel = result.weights[0].copy()
        kernel[:, list(features)] = 0
        results.append(dataclasses.replace(result, weights=[kernel, *result.weights[1:]]))
    folds = dataclasses.replace(auxiliary.folds, results=results)
    return dataclasses.replace(auxiliary, folds=folds)


def column_named(context: ReportContext, name: str) -> Column:
    return next(column for column in context.schema.columns if column.name == name)


def features_of(context: ReportContext, name: str) -> list[int]:
    index = context.schema.column_names.index(name)
    return [i for i, column in enumerate(context.encoding.columns) if column == index]


def test_an_ignored_column_has_no_importance(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> None:
    networks = with_ignored_features(auxiliary, features_of(context, "thal"))
    importances = {
        importance.column.name: importance
        for importance in permutation_importance(context, networks)
    }
    thal = importances.pop("thal").loss_increase
    assert abs(thal.low) + abs(thal.value) + abs(thal.high) < 1e-6
    increases = [importance.loss_increase for importance in importances.values()]
    assert all(increase.low < increase.value < increase.high for increase in increases)
    ca = importances["ca"]
    assert ca.loss_increase.low > 0
    assert ca.shuffles.shape == (N_SHUFFLES,) and len(ca.folds) == 10


def test_importance_is_the_increase_of_the_log_loss_over_a_fold(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> None:
    """With a known shuffle: every record gets the value of the one before it."""
    fold, index = 3, context.schema.column_names.index("cp")
    rows = held_out_rows(auxiliary)
    original = [auxiliary.table.values[part] for part in rows]
    shuffled = []
    for values in original:
        rolled = values.copy()
        rolled[:, index] = np.roll(values[:, index], 1)
        shuffled.append(rolled)
    labels = auxiliary.table.labels[rows[fold]]
    increases = []
    for seed in range(N_SEEDS):
        network = auxiliary.folds.network(fold * N_SEEDS + seed)
        predictions = [
            predict(network, auxiliary.encodings[fold].encode(values))
            for values in (original[fold], shuffled[fold])
        ]
        before, after = (
            log_loss(labels, probabilities[None], np.ones((1, len(labels))))[0]
            for probabilities in predictions
        )
        increases.append(after - before)
    measured = held_out_losses(context, auxiliary, shuffled) - held_out_losses(
        context, auxiliary, original
    )
    assert measured[fold].mean() == pytest.approx(np.mean(increases), abs=1e-6)


def test_a_shuffle_changes_one_column_and_keeps_its_values() -> None:
    values = np.arange(12.0).reshape(4, 3)
    shuffled = shuffle_column(values, 1, np.random.default_rng(0)).reshape(N_SHUFFLES, 4, 3)
    assert (shuffled[..., [0, 2]] == values[:, [0, 2]]).all()
    assert (np.sort(shuffled[..., 1], axis=1) == values[:, 1]).all()
    assert len(np.unique(shuffled[..., 1], axis=0)) > N_SHUFFLES / 2


def test_partial_dependence_is_the_mean_probability_with_one_value_for_all_records(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> None:
    column = column_named(context, "thalach")
    curve = partial_dependence(context, auxiliary, column)
    network = build_network(context.config, len(context.encoding.features))
    network.set_weights(list(context.weights))
    rows = context.table.values.copy()
    rows[:, context.schema.column_names.index("thalach")] = curve.values[7]
    expected = predict(network, context.encoding.encode(rows)).mean()
    assert curve.mean[7] == pytest.approx(expected, abs=1e-6)
    assert (curve.low < curve.high).all()
    networks = with_ignored_features(auxiliary, features_of(context, "thalach"))
    flat = partial_dependence(context, networks, column)
    np.testing.assert_allclose(flat.low, flat.low[0], atol=1e-6)
    assert np.ptp(curve.low) > 0.05


def test_the_calibration_is_applied_to_the_auxiliary_networks(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> None:
    column = column_named(context, "sex")
    halving = Calibration(method="temperature", slope=0.5)
    plain, halved = (
        partial_dependence(dataclasses.replace(context, calibration=calibration), auxiliary, column)
        for calibration in (Calibration(), halving)
    )
    assert np.ptp(halved.mean) < np.ptp(plain.mean) and np.ptp(halved.low) < np.ptp(plain.low)


def test_the_loss_at_the_trained_weights_is_that_of_keras(context: ReportContext) -> None:
    config = msgspec.structs.replace(context.config, positive_class_weight=1.0)
    network = build_network(config, len(context.encoding.features))
    network.set_weights(list(context.weights))
    features = context.encoding.encode(context.table.values)
    expected = network.evaluate(features, context.table.labels, batch_size=303, verbose=0)
    direction = random_direction(context.weights, np.random.default_rng(1))
    losses = loss_along(context, [direction], [np.array([0.0, 1.0])])
    assert losses[0] == pytest.approx(expected[0], abs=1e-5)
    assert losses[1] > losses[0]


def test_a_direction_has_the_norm_of_the_weights_at_every_unit(context: ReportContext) -> None:
    direction = random_direction(context.weights, np.random.default_rng(1))
    for kernel, bias, kernel_step, bias_step in zip(
        context.weights[::2], context.weights[1::2], direction[::2], direction[1::2], strict=True
    ):
        weights, step = np.vstack([kernel, bias]), np.vstack([kernel_step, bias_step])
        np.testing.assert_allclose(
            np.linalg.norm(step, axis=0), np.linalg.norm(weights, axis=0), rtol=1e-5
        )
        assert not np.allclose(weights, step)


def test_stacked_networks_equal_single_networks(context: ReportContext) -> None:
    features = context.encoding.encode(context.table.values[:20])
    stacked = [np.stack([weight, 2 * weight], axis=-1) for weight in context.weights]
    stacked_outputs = log_odds(context.config, stacked, features)
    for index, factor in enumerate((1, 2)):
        weights = stack_networks([factor * weight for weight in context.weights])
        outputs = log_odds(context.config, weights, features)
        np.testing.assert_allclose(stacked_outputs[:, index], outputs[:, 0], atol=1e-5)


def test_without_resampling_there_is_no_optimism(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> None:
    unsampled = dataclasses.replace(
        auxiliary, bootstrap_counts=np.ones_like(auxiliary.bootstrap_counts)
    )
    assert all(value == 0 for value in estimate_optimism(context, unsampled).values())
    optimism = estimate_optimism(context, auxiliary)
    assert optimism["log_loss"] < 0 < optimism["auc"], "networks look better on training records"


def test_apparent_metrics_are_those_of_the_fitted_records(context: ReportContext) -> None:
    first_hundred = dataclasses.replace(context, rows=np.arange(100))
    expected = log_loss(context.table.labels[:100], context.apparent[None, :100], np.ones((1, 100)))
    assert apparent_metrics(first_hundred)["log_loss"] == pytest.approx(expected[0])


def test_the_networks_of_a_fold_are_not_trained_on_its_test_records(
    auxiliary: AuxiliaryNetworks,
) -> None:
    for number, member in enumerate(auxiliary.folds.members):
        train, test = auxiliary.splits[number // N_SEEDS]
        assert member.rows is not None and not set(member.rows) & set(test)
        np.testing.assert_array_equal(member.rows, train)
        np.testing.assert_array_equal(member.validation_rows, test)
    sizes = [size for size, _ in auxiliary.by_size]
    assert sizes == sorted(sizes) and sizes[-1] < 273
    assert all(
        ((probabilities > 0) & (probabilities < 1)).all() for _, probabilities in auxiliary.by_size
    )


def test_networks_are_trained_as_long_as_the_one_that_stopped_early(context: ReportContext) -> None:

    training = context.manifest.training | {"patience": 3, "validation_fraction": 0.2}
    manifest = msgspec.structs.replace(context.manifest, training=training)
    history = {**context.history, "val_loss": [0.6, 0.4, 0.5, 0.5, 0.5]}
    config = config_without_validation(
        dataclasses.replace(context, manifest=manifest, history=history)
    )
    assert (config.epochs, config.patience, config.validation_fraction) == (2, 0, 0)
    assert config_without_validation(context) == context.config


def test_women_are_few_and_their_intervals_are_wide(context: ReportContext) -> None:
    groups = {group.name: group for group in evaluate_subgroups(context)}
    women, men, all_records = groups["Female"], groups["Male"], groups["All records"]
    assert (women.n, women.n_positive, men.n, all_records.n) == (97, 25, 206, 303)
    widths = [
        estimate.high - estimate.low
        for group in (women, all_records)
        if (estimate := group.estimates["sensitivity"])
    ]
    assert widths[0] > 1.5 * widths[1]
    ages = ["below 50 years", "50 to below 60 years", "60 years and above"]
    assert [groups[name].n for name in ages] == [87, 125, 91]
    positive = context.table.labels[women.rows] == 1
    called_positive = context.out_of_fold[0, women.rows] >= context.at_threshold.threshold
    sensitivity = women.estimates["sensitivity"]
    assert sensitivity and sensitivity.value == pytest.approx(called_positive[positive].mean())


def test_small_groups_of_a_private_table_are_not_shown(
    context: ReportContext,
) -> None:
    """Four patients have the ST-T wave abnormality."""
    schema = msgspec.structs.replace(context.schema, subgroups=(Subgroups(column="restecg"),))
    table = dataclasses.replace(context.table, schema=schema)
    published = dataclasses.replace(context, table=table)
    assert [group.n for group in evaluate_subgroups(published)] == [303, 151, 4, 148]
    private = dataclasses.replace(published, table=dataclasses.replace(table, sha256="0" * 64))
    assert [group.name for group in evaluate_subgroups(private)] == ["All records"]
    assert any(
        "Not shown" in block for block in subgroups(private).blocks if isinstance(block, str)
    )


def test_numbers_without_declared_cuts_are_split_near_the_tertiles(context: ReportContext) -> None:
    schema = msgspec.structs.replace(context.schema, subgroups=(Subgroups(column="chol"),))
    table = dataclasses.replace(context.table, schema=schema)
    _, *groups = evaluate_subgroups(dataclasses.replace(context, table=table))
    assert len(groups) == 3 and all(75 <= group.n <= 130 for group in groups)
    assert np.sum([group.rows for group in groups], axis=0).tolist() == [1] * 303
    assert groups[0].name == "below 225 mg/dl", "a cut is a round number, not a record's value"


def test_the_learning_curve_covers_the_epochs_of_the_recipe(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> None:
    assert auxiliary.folds.validation_losses().shape == (context.config.epochs, 10 * N_SEEDS)
    text = learning_curves(context, auxiliary).blocks[0]
    best = auxiliary.folds.validation_losses().mean(axis=1).argmin() + 1
    assert re.findall(r"\d+", str(text))[2:4] == [str(best), str(context.config.epochs)]


def test_every_item_of_tripod_ai_is_filled_or_marked_as_not_reported(
    context: ReportContext,
) -> None:
    assert len(ITEMS) == 52 and list(ITEMS)[-1] == "27c"
    filled = fill_items(context)
    assert set(filled) < set(ITEMS) and all(filled.values())
    rows = reporting_items(context).blocks[1].rows  # type: ignore[union-attr]
    assert [row[0] for row in rows] == list(ITEMS)
    not_reported = {row[0] for row in rows if row[2] == NOT_REPORTED}
    assert not_reported == set(ITEMS) - set(filled)
    assert {"17", "18a", "18b", "18d", "19"} <= not_reported, "the data cannot answer these"


def test_the_source_of_an_unpublished_table_is_not_invented(context: ReportContext) -> None:
    """The schema knows the source of the published files only."""
    unpublished = dataclasses.replace(context.table, sha256="0" * 64)
    private = fill_items(dataclasses.replace(context, table=unpublished))
    assert "18e" in fill_items(context) and "18e" not in private
    assert "Where this file comes from is not recorded" in private["5a"]
    assert "not recorded" not in fill_items(context)["5a"]


def test_numbers_have_a_minus_sign_and_a_dash_for_missing() -> None:
    assert format_number(-0.5) == "\N{MINUS SIGN}0.500"
    assert format_number(-0.0001) == "0.000" and format_number(-0.0001, sign="+") == "+0.000"
    assert format_number(None) == format_number(float("nan")) == percent(float("nan")) == "—"
    assert join_with_and(["a", "b", "c"]) == "a, b and c" and join_with_and(["a"]) == "a"
