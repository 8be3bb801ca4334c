"""What the sections compute, against plainer ways to compute it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from model.calibrators import Calibration
from model.metrics import log_loss
from model.network import build_network
from model.schema import Subgroups
from model.training import predict
from pipelines.report import importance
from pipelines.report.companions import SEEDS, Companions
from pipelines.report.contents import number, percent, together
from pipelines.report.dependence import partial_dependence
from pipelines.report.learning import learning_curves
from pipelines.report.performance import apparent_figures, optimism_of_figures
from pipelines.report.subgroups import subgroup_figures, subgroups
from pipelines.report.subject import Subject
from pipelines.report.surface import draw_direction, loss_along
from pipelines.report.tripod import ITEMS, NOT_REPORTED, fill_items, reporting_items
from pipelines.report.weights import log_odds, stacked


def networks_deaf_to(companions: Companions, features: Sequence[int]) -> Companions:
    """The same, with every weight from some of the features at zero."""
    parts = []
    for part in companions.folds.parts:
        kernel = part.weights[0].copy()
        kernel[:, list(features)] = 0
        parts.append(dataclasses.replace(part, weights=[kernel, *part.weights[1:]]))
    return dataclasses.replace(companions, folds=dataclasses.replace(companions.folds, parts=parts))


def features_of(subject: Subject, name: str) -> list[int]:
    place = subject.schema.column_names.index(name)
    return [i for i, column in enumerate(subject.encoding.columns) if column == place]


def test_a_column_that_no_network_reads_has_no_importance(
    subject: Subject, companions: Companions
) -> None:
    deaf = networks_deaf_to(companions, features_of(subject, "thal"))
    found = {one.column.name: one for one in importance.permutation_importance(subject, deaf)}
    thal = found.pop("thal")
    assert abs(thal.rise.low) + abs(thal.rise.value) + abs(thal.rise.high) < 1e-6
    assert all(one.rise.low < one.rise.value < one.rise.high for one in found.values())
    assert found["ca"].rise.low > 0
    assert found["ca"].shuffles.shape == (importance.N_SHUFFLES,) and len(found["ca"].folds) == 10


def test_importance_is_the_rise_of_the_log_loss_of_one_shuffle_after_the_other(
    subject: Subject, companions: Companions
) -> None:
    """Shuffled in a way that can be followed: every record gets the value of the next one."""

    def turned(values: np.ndarray, index: int, draw: np.random.Generator) -> np.ndarray:
        changed = values.copy()
        changed[:, index] = np.roll(values[:, index], 1)
        return changed

    index, (_, test) = subject.schema.column_names.index("cp"), companions.splits[3]
    values, labels = companions.table.values[test], companions.table.labels[test]
    rises = []
    for seed in range(SEEDS):
        network = companions.folds.network(3 * SEEDS + seed)
        given = [
            predict(network, companions.encodings[3].encode(part))
            for part in (values, turned(values, index, np.random.default_rng()))
        ]
        losses = [log_loss(labels, p[None], np.ones((1, len(labels))))[0] for p in given]
        rises.append(losses[1] - losses[0])
    held = importance.held_rows(companions)
    np.testing.assert_array_equal(held[3][: len(test)], test)
    plain = [companions.table.values[rows] for rows in held]
    changed = [part.copy() for part in plain]
    changed[3][: len(test)] = turned(values, index, np.random.default_rng())
    whole, shuffled = (
        importance.losses_of(subject, companions, given) for given in (plain, changed)
    )
    assert (shuffled - whole)[3][:, : len(test)].mean() == pytest.approx(np.mean(rises), abs=1e-6)


def test_partial_dependence_is_the_mean_answer_with_one_value_for_all(
    subject: Subject, companions: Companions
) -> None:
    column = next(one for one in subject.schema.columns if one.name == "thalach")
    found = partial_dependence(subject, companions, column)
    network = build_network(subject.config, len(subject.encoding.features))
    network.set_weights(list(subject.weights))
    rows = subject.table.values.copy()
    rows[:, subject.schema.column_names.index("thalach")] = found.at[7]
    expected = predict(network, subject.encoding.encode(rows)).mean()
    assert found.mean[7] == pytest.approx(expected, abs=1e-6)
    assert (found.low < found.high).all()
    deaf = networks_deaf_to(companions, features_of(subject, "thalach"))
    flat = partial_dependence(subject, deaf, column)
    np.testing.assert_allclose(flat.low, flat.low[0], atol=1e-6)
    assert np.ptp(found.low) > 0.05


def test_a_calibration_is_applied_to_what_further_networks_say(
    subject: Subject, companions: Companions
) -> None:
    column = next(one for one in subject.schema.columns if one.name == "sex")
    halved = Calibration(method="temperature", slope=0.5)
    plain, mild = (
        partial_dependence(
            dataclasses.replace(subject, calibration=calibration), companions, column
        )
        for calibration in (Calibration(), halved)
    )
    assert np.ptp(mild.mean) < np.ptp(plain.mean) and np.ptp(mild.low) < np.ptp(plain.low)


def test_the_loss_at_the_solution_is_what_keras_says(subject: Subject) -> None:
    config = msgspec.structs.replace(subject.config, missed_cost=1.0)
    network = build_network(config, len(subject.encoding.features))
    network.set_weights(list(subject.weights))
    features = subject.encoding.encode(subject.table.values)
    expected = network.evaluate(features, subject.table.labels, batch_size=303, verbose=0)
    still = draw_direction(subject.weights, np.random.default_rng(1))
    found = loss_along(subject, [still], [np.array([0.0, 1.0])])
    assert found[0] == pytest.approx(expected[0], abs=1e-5)
    assert found[1] > found[0]


def test_a_direction_is_as_long_as_the_weights_at_every_unit(subject: Subject) -> None:
    drawn = draw_direction(subject.weights, np.random.default_rng(1))
    for kernel, bias, to_kernel, to_bias in zip(
        subject.weights[::2], subject.weights[1::2], drawn[::2], drawn[1::2], strict=True
    ):
        own, step = np.vstack([kernel, bias]), np.vstack([to_kernel, to_bias])
        np.testing.assert_allclose(
            np.linalg.norm(step, axis=0), np.linalg.norm(own, axis=0), rtol=1e-5
        )
        assert not np.allclose(own, step)


def test_many_points_at_once_are_those_one_by_one(subject: Subject) -> None:
    features = subject.encoding.encode(subject.table.values[:20])
    two = [np.stack([w, 2 * w], axis=-1) for w in subject.weights]
    found = log_odds(subject.config, two, features)
    for place, factor in enumerate((1, 2)):
        alone = log_odds(subject.config, stacked([factor * w for w in subject.weights]), features)
        np.testing.assert_allclose(found[:, place], alone[:, 0], atol=1e-5)


def test_without_drawing_there_is_no_optimism(subject: Subject, companions: Companions) -> None:
    whole = dataclasses.replace(companions, draws=np.ones_like(companions.draws))
    assert all(value == 0 for value in optimism_of_figures(subject, whole).values())
    found = optimism_of_figures(subject, companions)
    assert found["log_loss"] < 0 < found["auc"], "networks look better on what they have seen"


def test_apparent_figures_are_of_the_records_that_were_fitted(subject: Subject) -> None:
    some = dataclasses.replace(subject, rows=np.arange(100))
    expected = log_loss(subject.table.labels[:100], subject.apparent[None, :100], np.ones((1, 100)))
    assert apparent_figures(some)["log_loss"] == pytest.approx(expected[0])


def test_companions_never_saw_the_records_of_their_fold(companions: Companions) -> None:
    for number_, member in enumerate(companions.folds.members):
        train, test = companions.splits[number_ // SEEDS]
        assert member.rows is not None and not set(member.rows) & set(test)
        np.testing.assert_array_equal(member.rows, train)
        np.testing.assert_array_equal(member.held, test)
    sizes = [size for size, _ in companions.fewer]
    assert sizes == sorted(sizes) and sizes[-1] < 273
    assert all(((held > 0) & (held < 1)).all() for _, held in companions.fewer)


def test_networks_are_trained_as_long_as_the_one_that_stopped_early(subject: Subject) -> None:
    from pipelines.report.companions import config_as_long

    training = subject.manifest.training | {"patience": 3, "validation_share": 0.2}
    manifest = msgspec.structs.replace(subject.manifest, training=training)
    history = {**subject.history, "val_loss": [0.6, 0.4, 0.5, 0.5, 0.5]}
    config = config_as_long(dataclasses.replace(subject, manifest=manifest, history=history))
    assert (config.epochs, config.patience, config.validation_share) == (2, 0, 0)
    assert config_as_long(subject) == subject.config


def test_women_are_few_and_their_intervals_are_wide(subject: Subject) -> None:
    found = {group.name: group for group in subgroup_figures(subject)}
    women, men, everybody = found["Female"], found["Male"], found["All records"]
    assert (women.n, women.n_positive, men.n, everybody.n) == (97, 25, 206, 303)
    widths = [
        figure.high - figure.low
        for group in (women, everybody)
        if (figure := group.figures["sensitivity"])
    ]
    assert widths[0] > 1.5 * widths[1]
    ages = ["below 50 years", "50 to below 60 years", "60 years and above"]
    assert [found[name].n for name in ages] == [87, 125, 91]
    ill = subject.table.labels[women.rows] == 1
    called = subject.out_of_fold[0, women.rows] >= subject.at_threshold.threshold
    sensitivity = women.figures["sensitivity"]
    assert sensitivity and sensitivity.value == pytest.approx(called[ill].mean())


def test_groups_that_are_too_small_are_not_told_where_rows_must_not_leave(subject: Subject) -> None:
    """Four patients have the ST-T wave abnormality."""
    schema = msgspec.structs.replace(subject.schema, subgroups=(Subgroups(column="restecg"),))
    table = dataclasses.replace(subject.table, schema=schema)
    shown = dataclasses.replace(subject, table=table)
    assert [group.n for group in subgroup_figures(shown)] == [303, 151, 4, 148]
    private = dataclasses.replace(shown, table=dataclasses.replace(table, sha256="0" * 64))
    assert [group.name for group in subgroup_figures(private)] == ["All records"]
    assert any(
        "Not shown" in block for block in subgroups(private).blocks if isinstance(block, str)
    )


def test_numbers_are_cut_near_their_thirds_unless_told(subject: Subject) -> None:
    schema = msgspec.structs.replace(subject.schema, subgroups=(Subgroups(column="chol"),))
    table = dataclasses.replace(subject.table, schema=schema)
    _, *parts = subgroup_figures(dataclasses.replace(subject, table=table))
    assert len(parts) == 3 and all(75 <= group.n <= 130 for group in parts)
    assert np.sum([group.rows for group in parts], axis=0).tolist() == [1] * 303
    assert parts[0].name == "below 225 mg/dl", "a round number, and nobody's own"


def test_the_learning_curve_is_about_the_epochs_of_the_recipe(
    subject: Subject, companions: Companions
) -> None:
    assert companions.folds.held_losses().shape == (subject.config.epochs, 10 * SEEDS)
    text = learning_curves(subject, companions).blocks[0]
    held = companions.folds.held_losses().mean(axis=1)
    assert f"lowest after epoch {held.argmin() + 1} of {subject.config.epochs}" in str(text)


def test_every_item_of_tripod_ai_is_told_or_said_to_be_missing(subject: Subject) -> None:
    assert len(ITEMS) == 52 and list(ITEMS)[-1] == "27c"
    found = fill_items(subject)
    assert set(found) < set(ITEMS) and all(found.values())
    rows = reporting_items(subject).blocks[1].rows  # type: ignore[union-attr]
    assert [row[0] for row in rows] == list(ITEMS)
    silent = {row[0] for row in rows if row[2] == NOT_REPORTED}
    assert silent == set(ITEMS) - set(found)
    assert {"17", "18a", "18b", "18d", "19"} <= silent, "no machine knows of these"


def test_the_source_of_a_table_of_ones_own_is_not_made_up(subject: Subject) -> None:
    """The schema knows where the files come from that it names, and no others."""
    own = dataclasses.replace(subject.table, sha256="0" * 64)
    private = fill_items(dataclasses.replace(subject, table=own))
    assert "18e" in fill_items(subject) and "18e" not in private
    assert "Where this file comes from is not recorded" in private["5a"]
    assert "not recorded" not in fill_items(subject)["5a"]


def test_numbers_are_written_for_people() -> None:
    assert number(-0.5) == "\N{MINUS SIGN}0.500"
    assert number(-0.0001) == "0.000" and number(-0.0001, sign="+") == "+0.000"
    assert number(None) == number(float("nan")) == percent(float("nan")) == "—"
    assert together(["a", "b", "c"]) == "a, b and c" and together(["a"]) == "a"
