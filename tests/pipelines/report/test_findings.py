"""What the sections compute, against plainer ways to compute it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from model.calibration import Calibration
from model.evaluation import log_loss
from model.schema import Subgroups
from model.training import build_network, predict
from pipelines.report import permutation_importance as importance
from pipelines.report.auxiliary_networks import N_SEEDS, AuxiliaryNetworks
from pipelines.report.blocks import format_number, join_with_and, percent
from pipelines.report.context import ReportContext
from pipelines.report.learning_curves import learning_curves
from pipelines.report.loss_surface import loss_along, random_direction
from pipelines.report.partial_dependence import partial_dependence
from pipelines.report.performance import apparent_figures, optimism_of_figures
from pipelines.report.subgroups import evaluate_subgroups, subgroups
from pipelines.report.tripod_ai import ITEMS, NOT_REPORTED, fill_items, reporting_items
from pipelines.report.weight_space import log_odds, stack_networks


def networks_deaf_to(auxiliary: AuxiliaryNetworks, features: Sequence[int]) -> AuxiliaryNetworks:
    """The same, with every weight from some of the features at zero."""
    parts = []
    for part in auxiliary.folds.results:
        kernel = part.weights[0].copy()
        kernel[:, list(features)] = 0
        parts.append(dataclasses.replace(part, weights=[kernel, *part.weights[1:]]))
    return dataclasses.replace(auxiliary, folds=dataclasses.replace(auxiliary.folds, results=parts))


def features_of(context: ReportContext, name: str) -> list[int]:
    place = context.schema.column_names.index(name)
    return [i for i, column in enumerate(context.encoding.columns) if column == place]


def test_a_column_that_no_network_reads_has_no_importance(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> None:
    deaf = networks_deaf_to(auxiliary, features_of(context, "thal"))
    found = {one.column.name: one for one in importance.permutation_importance(context, deaf)}
    thal = found.pop("thal")
    assert (
        abs(thal.loss_increase.low) + abs(thal.loss_increase.value) + abs(thal.loss_increase.high)
        < 1e-6
    )
    assert all(
        one.loss_increase.low < one.loss_increase.value < one.loss_increase.high
        for one in found.values()
    )
    assert found["ca"].loss_increase.low > 0
    assert found["ca"].shuffles.shape == (importance.N_SHUFFLES,) and len(found["ca"].folds) == 10


def test_importance_is_the_rise_of_the_log_loss_of_one_shuffle_after_the_other(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> None:
    """Shuffled in a way that can be followed: every record gets the value of the next one."""

    def turned(values: np.ndarray, index: int, draw: np.random.Generator) -> np.ndarray:
        changed = values.copy()
        changed[:, index] = np.roll(values[:, index], 1)
        return changed

    index, (_, test) = context.schema.column_names.index("cp"), auxiliary.splits[3]
    values, labels = auxiliary.table.values[test], auxiliary.table.labels[test]
    rises = []
    for seed in range(N_SEEDS):
        network = auxiliary.folds.network(3 * N_SEEDS + seed)
        given = [
            predict(network, auxiliary.encodings[3].encode(part))
            for part in (values, turned(values, index, np.random.default_rng()))
        ]
        losses = [log_loss(labels, p[None], np.ones((1, len(labels))))[0] for p in given]
        rises.append(losses[1] - losses[0])
    held = importance.held_rows(auxiliary)
    np.testing.assert_array_equal(held[3][: len(test)], test)
    plain = [auxiliary.table.values[rows] for rows in held]
    changed = [part.copy() for part in plain]
    changed[3][: len(test)] = turned(values, index, np.random.default_rng())
    whole, shuffled = (
        importance.losses_of(context, auxiliary, given) for given in (plain, changed)
    )
    assert (shuffled - whole)[3][:, : len(test)].mean() == pytest.approx(np.mean(rises), abs=1e-6)


def test_partial_dependence_is_the_mean_answer_with_one_value_for_all(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> None:
    column = next(one for one in context.schema.columns if one.name == "thalach")
    found = partial_dependence(context, auxiliary, column)
    network = build_network(context.config, len(context.encoding.features))
    network.set_weights(list(context.weights))
    rows = context.table.values.copy()
    rows[:, context.schema.column_names.index("thalach")] = found.values[7]
    expected = predict(network, context.encoding.encode(rows)).mean()
    assert found.mean[7] == pytest.approx(expected, abs=1e-6)
    assert (found.low < found.high).all()
    deaf = networks_deaf_to(auxiliary, features_of(context, "thalach"))
    flat = partial_dependence(context, deaf, column)
    np.testing.assert_allclose(flat.low, flat.low[0], atol=1e-6)
    assert np.ptp(found.low) > 0.05


def test_a_calibration_is_applied_to_what_further_networks_say(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> None:
    column = next(one for one in context.schema.columns if one.name == "sex")
    halved = Calibration(method="temperature", slope=0.5)
    plain, mild = (
        partial_dependence(dataclasses.replace(context, calibration=calibration), auxiliary, column)
        for calibration in (Calibration(), halved)
    )
    assert np.ptp(mild.mean) < np.ptp(plain.mean) and np.ptp(mild.low) < np.ptp(plain.low)


def test_the_loss_at_the_solution_is_what_keras_says(context: ReportContext) -> None:
    config = msgspec.structs.replace(context.config, positive_class_weight=1.0)
    network = build_network(config, len(context.encoding.features))
    network.set_weights(list(context.weights))
    features = context.encoding.encode(context.table.values)
    expected = network.evaluate(features, context.table.labels, batch_size=303, verbose=0)
    still = random_direction(context.weights, np.random.default_rng(1))
    found = loss_along(context, [still], [np.array([0.0, 1.0])])
    assert found[0] == pytest.approx(expected[0], abs=1e-5)
    assert found[1] > found[0]


def test_a_direction_is_as_long_as_the_weights_at_every_unit(context: ReportContext) -> None:
    drawn = random_direction(context.weights, np.random.default_rng(1))
    for kernel, bias, to_kernel, to_bias in zip(
        context.weights[::2], context.weights[1::2], drawn[::2], drawn[1::2], strict=True
    ):
        own, step = np.vstack([kernel, bias]), np.vstack([to_kernel, to_bias])
        np.testing.assert_allclose(
            np.linalg.norm(step, axis=0), np.linalg.norm(own, axis=0), rtol=1e-5
        )
        assert not np.allclose(own, step)


def test_many_points_at_once_are_those_one_by_one(context: ReportContext) -> None:
    features = context.encoding.encode(context.table.values[:20])
    two = [np.stack([w, 2 * w], axis=-1) for w in context.weights]
    found = log_odds(context.config, two, features)
    for place, factor in enumerate((1, 2)):
        alone = log_odds(
            context.config, stack_networks([factor * w for w in context.weights]), features
        )
        np.testing.assert_allclose(found[:, place], alone[:, 0], atol=1e-5)


def test_without_drawing_there_is_no_optimism(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> None:
    whole = dataclasses.replace(
        auxiliary, bootstrap_counts=np.ones_like(auxiliary.bootstrap_counts)
    )
    assert all(value == 0 for value in optimism_of_figures(context, whole).values())
    found = optimism_of_figures(context, auxiliary)
    assert found["log_loss"] < 0 < found["auc"], "networks look better on what they have seen"


def test_apparent_figures_are_of_the_records_that_were_fitted(context: ReportContext) -> None:
    some = dataclasses.replace(context, rows=np.arange(100))
    expected = log_loss(context.table.labels[:100], context.apparent[None, :100], np.ones((1, 100)))
    assert apparent_figures(some)["log_loss"] == pytest.approx(expected[0])


def test_companions_never_saw_the_records_of_their_fold(auxiliary: AuxiliaryNetworks) -> None:
    for number_, member in enumerate(auxiliary.folds.members):
        train, test = auxiliary.splits[number_ // N_SEEDS]
        assert member.rows is not None and not set(member.rows) & set(test)
        np.testing.assert_array_equal(member.rows, train)
        np.testing.assert_array_equal(member.validation_rows, test)
    sizes = [size for size, _ in auxiliary.by_size]
    assert sizes == sorted(sizes) and sizes[-1] < 273
    assert all(((held > 0) & (held < 1)).all() for _, held in auxiliary.by_size)


def test_networks_are_trained_as_long_as_the_one_that_stopped_early(context: ReportContext) -> None:
    from pipelines.report.auxiliary_networks import config_as_long

    training = context.manifest.training | {"patience": 3, "validation_fraction": 0.2}
    manifest = msgspec.structs.replace(context.manifest, training=training)
    history = {**context.history, "val_loss": [0.6, 0.4, 0.5, 0.5, 0.5]}
    config = config_as_long(dataclasses.replace(context, manifest=manifest, history=history))
    assert (config.epochs, config.patience, config.validation_fraction) == (2, 0, 0)
    assert config_as_long(context) == context.config


def test_women_are_few_and_their_intervals_are_wide(context: ReportContext) -> None:
    found = {group.name: group for group in evaluate_subgroups(context)}
    women, men, everybody = found["Female"], found["Male"], found["All records"]
    assert (women.n, women.n_positive, men.n, everybody.n) == (97, 25, 206, 303)
    widths = [
        figure.high - figure.low
        for group in (women, everybody)
        if (figure := group.estimates["sensitivity"])
    ]
    assert widths[0] > 1.5 * widths[1]
    ages = ["below 50 years", "50 to below 60 years", "60 years and above"]
    assert [found[name].n for name in ages] == [87, 125, 91]
    ill = context.table.labels[women.rows] == 1
    called = context.out_of_fold[0, women.rows] >= context.at_threshold.threshold
    sensitivity = women.estimates["sensitivity"]
    assert sensitivity and sensitivity.value == pytest.approx(called[ill].mean())


def test_groups_that_are_too_small_are_not_told_where_rows_must_not_leave(
    context: ReportContext,
) -> None:
    """Four patients have the ST-T wave abnormality."""
    schema = msgspec.structs.replace(context.schema, subgroups=(Subgroups(column="restecg"),))
    table = dataclasses.replace(context.table, schema=schema)
    shown = dataclasses.replace(context, table=table)
    assert [group.n for group in evaluate_subgroups(shown)] == [303, 151, 4, 148]
    private = dataclasses.replace(shown, table=dataclasses.replace(table, sha256="0" * 64))
    assert [group.name for group in evaluate_subgroups(private)] == ["All records"]
    assert any(
        "Not shown" in block for block in subgroups(private).blocks if isinstance(block, str)
    )


def test_numbers_are_cut_near_their_thirds_unless_told(context: ReportContext) -> None:
    schema = msgspec.structs.replace(context.schema, subgroups=(Subgroups(column="chol"),))
    table = dataclasses.replace(context.table, schema=schema)
    _, *parts = evaluate_subgroups(dataclasses.replace(context, table=table))
    assert len(parts) == 3 and all(75 <= group.n <= 130 for group in parts)
    assert np.sum([group.rows for group in parts], axis=0).tolist() == [1] * 303
    assert parts[0].name == "below 225 mg/dl", "a round number, and nobody's own"


def test_the_learning_curve_is_about_the_epochs_of_the_recipe(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> None:
    assert auxiliary.folds.validation_losses().shape == (context.config.epochs, 10 * N_SEEDS)
    text = learning_curves(context, auxiliary).blocks[0]
    held = auxiliary.folds.validation_losses().mean(axis=1)
    assert f"lowest after epoch {held.argmin() + 1} of {context.config.epochs}" in str(text)


def test_every_item_of_tripod_ai_is_told_or_said_to_be_missing(context: ReportContext) -> None:
    assert len(ITEMS) == 52 and list(ITEMS)[-1] == "27c"
    found = fill_items(context)
    assert set(found) < set(ITEMS) and all(found.values())
    rows = reporting_items(context).blocks[1].rows  # type: ignore[union-attr]
    assert [row[0] for row in rows] == list(ITEMS)
    silent = {row[0] for row in rows if row[2] == NOT_REPORTED}
    assert silent == set(ITEMS) - set(found)
    assert {"17", "18a", "18b", "18d", "19"} <= silent, "no machine knows of these"


def test_the_source_of_a_table_of_ones_own_is_not_made_up(context: ReportContext) -> None:
    """The schema knows where the files come from that it names, and no others."""
    own = dataclasses.replace(context.table, sha256="0" * 64)
    private = fill_items(dataclasses.replace(context, table=own))
    assert "18e" in fill_items(context) and "18e" not in private
    assert "Where this file comes from is not recorded" in private["5a"]
    assert "not recorded" not in fill_items(context)["5a"]


def test_numbers_are_written_for_people() -> None:
    assert format_number(-0.5) == "\N{MINUS SIGN}0.500"
    assert format_number(-0.0001) == "0.000" and format_number(-0.0001, sign="+") == "+0.000"
    assert format_number(None) == format_number(float("nan")) == percent(float("nan")) == "—"
    assert join_with_and(["a", "b", "c"]) == "a, b and c" and join_with_and(["a"]) == "a"
