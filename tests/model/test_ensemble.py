from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from model.errors import InvalidConfig
from model.training import Head, TrainingConfig, activations, fit_network, predict
from model.training.ensemble import MemberSpec, fit_ensemble
from model.training.ensemble.packing import epoch_dropout_masks

N_FEATURES = 7


def sample(n: int = 75) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(n, N_FEATURES))
    return features, (features[:, 0] + draw.normal(size=n) > 0).astype(int)


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Float64 throughout, so that a difference is a difference of method and not of rounding."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    if keras.config.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])
    if keras.config.backend() == "jax":
        jax.config.update("jax_enable_x64", False)


def small(**choices: Any) -> TrainingConfig:
    defaults = {"hidden": (5,), "epochs": 4, "batch_size": 16, "learning_rate": 0.01}
    return TrainingConfig(**{**defaults, **choices})


QUICK: tuple[dict[str, Any], ...] = (
    {}, {"hidden": (4, 3), "activation": "tanh"}, {"loss": "focal"}, {"batch_size": "all"},
    {"optimizer": "nesterov", "schedule": "cosine"},
)  # fmt: skip
MORE: tuple[dict[str, Any], ...] = (
    {"hidden": ()}, {"activation": "softmax"}, {"activation": "sigmoid"},
    {"activation": "leaky_relu", "initial_weights": "he"},
    {"activation": "linear", "initial_weights": "normal"},
    {"loss": "squared_error"}, {"positive_class_weight": 3.0}, {"batch_size": 1},
    {"optimizer": "sgd", "schedule": "linear"},
    {"optimizer": "momentum", "schedule": "exponential"},
    {"optimizer": "rmsprop", "schedule": "steps"}, {"optimizer": "adagrad"},
)  # fmt: skip
# Folds and bootstraps: other rows, other numbers of steps, some rows twice.
ROWS = (np.arange(64), np.array([0, 0, 1, *range(20, 70)]))


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(
    "choices", [*QUICK, *(pytest.param(c, marks=pytest.mark.slow) for c in MORE)], ids=str
)
def test_a_member_is_what_a_lone_fit_gives(choices: dict[str, Any]) -> None:
    """Beside one that differs in rows, seed, width, learning rate, L2 and number of epochs."""
    features, labels = sample()
    wider = tuple(units + 1 for units in choices.get("hidden", (5,)))
    others = {"hidden": wider, "seed": 2, "l2": 0.0, "learning_rate": 0.02, "epochs": 3}
    configs = [small(**choices), small(**choices | others)]
    # Two members to a group; the second rows have fewer steps an epoch, and one of them twice.
    members = [MemberSpec(config, rows) for rows in ROWS for config in configs]
    ensemble = fit_ensemble(features, labels, members)
    for number in (0, 3):
        config, rows = members[number].config, ROWS[number // 2]
        lone = fit_network(features[rows], labels[rows], config)
        agree(ensemble.weights(number), lone.network)
        losses = ensemble.losses()[:, number]
        np.testing.assert_allclose(losses[: config.epochs], lone.history["loss"], atol=1e-6)
        assert np.isnan(losses[config.epochs :]).all()


@pytest.mark.usefixtures("double_precision")
def test_a_bootstrap_by_weights_is_a_lone_fit_with_these_weights() -> None:
    features, labels = sample()
    counts = np.random.default_rng(3).multinomial(75, np.full(75, 1 / 75), size=3)
    config = small(positive_class_weight=2.0)
    ensemble = fit_ensemble(
        features, labels, [MemberSpec(config, weights=drawn) for drawn in counts]
    )
    for number in (0, 2):
        lone = fit_network(features, labels, config, weights=counts[number])
        agree(ensemble.weights(number), lone.network)


@pytest.mark.usefixtures("double_precision")
def test_an_activation_of_ones_own() -> None:
    features, labels = sample()
    name = f"{__name__}:squared_relu"
    with pytest.raises(InvalidConfig, match=f"--activation {name}"):
        fit_ensemble(features, labels, [MemberSpec(small(activation=name))])
    activations.register_custom_activation(name)
    config = small(activation=name)
    ensemble = fit_ensemble(features, labels, [MemberSpec(config)])
    agree(ensemble.weights(0), fit_network(features, labels, config).network)


def squared_relu(x: Any) -> Any:
    return keras.ops.square(keras.ops.relu(x))


@pytest.mark.usefixtures("double_precision")
def test_members_stop_early_where_a_lone_fit_does() -> None:
    features, labels = sample()
    rows, held = np.arange(60), np.arange(60, 75)
    configs = [
        small(seed=seed, epochs=40, learning_rate=0.1, patience=patience, validation_fraction=0.2)
        for seed, patience in ((1, 1), (2, 3), (3, 0))
    ]
    ensemble = fit_ensemble(
        features, labels, [MemberSpec(config, rows, validation_rows=held) for config in configs]
    )
    stopped = []
    for number, config in enumerate(configs):
        lone = fit_network(
            features[rows], labels[rows], config, validation=(features[held], labels[held])
        )
        agree(ensemble.weights(number), lone.network)
        losses = ensemble.validation_losses()[:, number]
        ran = len(lone.history["val_loss"])
        np.testing.assert_allclose(losses[:ran], lone.history["val_loss"], atol=1e-6)
        assert np.isnan(losses[ran:]).all()
        if config.patience:
            assert ensemble.best_epochs()[number] == 1 + int(np.argmin(lone.history["val_loss"]))
        stopped.append(ran)
    assert stopped[0] < stopped[1] < stopped[2] == 40
    assert ensemble.best_epochs()[2] == 40


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(
    ("head", "choices"),
    [
        (Head(3, "softmax"), {}), (Head(3, "softmax"), {"loss": "focal"}),
        (Head(1, "linear"), {"loss": "squared_error"}),
    ],
)  # fmt: skip
def test_heads_of_several_classes_and_of_a_number(head: Head, choices: dict[str, Any]) -> None:
    features, _ = sample()
    classes = np.digitize(features[:, 0], [-0.5, 0.5])
    labels = np.eye(3)[classes] if head.units == 3 else features[:, 0] ** 2
    config = small(**choices)
    ensemble = fit_ensemble(features, labels, [MemberSpec(config)], head=head)
    lone = fit_network(features, labels, config, head=head)
    agree(ensemble.weights(0), lone.network)
    given = keras.ops.convert_to_numpy(lone.network(features))
    np.testing.assert_allclose(ensemble.predict(features)[0].reshape(given.shape), given, atol=1e-6)


def test_a_loss_that_needs_probabilities_refuses_numbers() -> None:
    features, labels = sample()
    with pytest.raises(InvalidConfig, match="the output is a number"):
        fit_ensemble(features, labels, [MemberSpec(small())], head=Head(1, "linear"))


def test_unlike_members_come_back_in_the_order_in_which_they_went_in() -> None:
    features, labels = sample()
    configs = [
        small(**choices)
        for choices in (
            {"activation": "tanh"}, {"hidden": (3, 2)}, {"activation": "tanh", "hidden": (2,)},
            {"optimizer": "sgd"}, {"batch_size": 20}, {"loss": "focal"}, {"hidden": (9,)},
        )
    ]  # fmt: skip
    ensemble = fit_ensemble(features, labels, [MemberSpec(config) for config in configs])
    answers = ensemble.predict(features)
    assert answers.shape == (len(configs), len(features))
    for number, config in enumerate(configs):
        alone = fit_ensemble(features, labels, [MemberSpec(config)])
        np.testing.assert_allclose(answers[number], alone.predict(features)[0], atol=1e-5)
        network = ensemble.network(number)
        assert [layer.units for layer in network.layers[1:-1]] == list(config.hidden)
        np.testing.assert_allclose(answers[number], predict(network, features), atol=1e-6)


def test_members_in_several_programs_are_what_they_are_in_one() -> None:
    features, labels = sample()
    members = [MemberSpec(small(seed=seed)) for seed in range(5)]
    together = fit_ensemble(features, labels, members).predict(features)
    apart = fit_ensemble(features, labels, members, members_per_program=2).predict(features)
    np.testing.assert_allclose(together, apart, atol=1e-5)
    assert len({*together[:, 0].round(4)}) == 5


def test_each_member_sees_its_own_table() -> None:
    features, labels = sample()
    tables = np.stack([features, -features[:, ::-1]])
    members = [MemberSpec(small(), table=1), MemberSpec(small(), table=0)]
    answers = fit_ensemble(tables, labels, members).predict(tables)
    for place, table in enumerate((1, 0)):
        alone = fit_ensemble(tables[table], labels, [MemberSpec(small())]).predict(tables[table])
        np.testing.assert_allclose(answers[place], alone[0], atol=1e-5)


def test_tables_may_differ_in_their_labels() -> None:
    features, labels = sample()
    both = np.stack([labels, 1 - labels])[:, :, None]
    tables = np.stack([features, features])
    members = [MemberSpec(small(), table=table) for table in (0, 1)]
    right, wrong = fit_ensemble(tables, both, members).predict(tables)
    alone = fit_ensemble(features, 1 - labels, [MemberSpec(small())]).predict(features)[0]
    np.testing.assert_allclose(wrong, alone, atol=1e-5)
    assert np.corrcoef(right, wrong)[0, 1] < -0.8


def test_dropout_leaves_units_out_and_only_where_it_is_asked_for() -> None:
    features, labels = sample()
    with_and_without = [small(dropout=0.5), small(dropout=0.5, seed=1), small()]
    dropped, again, plain = fit_ensemble(
        features, labels, [MemberSpec(config) for config in with_and_without]
    ).predict(features)
    alone = fit_ensemble(features, labels, [MemberSpec(small())]).predict(features)[0]
    np.testing.assert_allclose(plain, alone, atol=1e-5)
    assert np.abs(dropped - plain).max() > 1e-3 and np.abs(dropped - again).max() > 1e-3
    long = small(hidden=(40,), dropout=0.4, epochs=60)
    lone = fit_network(features, labels, long)
    losses = fit_ensemble(features, labels, [MemberSpec(long)]).losses()[:, 0]
    assert losses[-1] < 0.6 * losses[0]
    assert abs(losses[-10:].mean() - np.mean(lone.history["loss"][-10:])) < 0.1


def test_a_program_with_dropout_holds_members_with_other_shares() -> None:
    grid = [[small(dropout=0.25), small(dropout=0.5)]]
    masks = next(epoch_dropout_masks(grid, 50, 64, "float32"))[0]
    assert masks.shape == (50, 1, 64, 5, 2)
    np.testing.assert_allclose(masks.mean(axis=(0, 1, 2, 3)), 1, atol=0.03)
    for place, share in enumerate((0.25, 0.5)):
        assert set(np.unique(masks[..., place])) == {np.float32(0), np.float32(1 / (1 - share))}
        assert np.mean(masks[..., place] == 0) == pytest.approx(share, abs=0.02)


def test_patience_needs_rows_to_look_at() -> None:
    features, labels = sample()
    config = small(patience=2, validation_fraction=0.2)
    with pytest.raises(InvalidConfig, match="rows to look at"):
        fit_ensemble(features, labels, [MemberSpec(config)])


def test_members_differ_from_lone_fits_by_no_more_than_rounding_in_single_precision() -> None:
    features, labels = sample()
    config = TrainingConfig(epochs=10)
    lone = fit_network(features, labels, config)
    ensemble = fit_ensemble(features, labels, [MemberSpec(config)])
    np.testing.assert_allclose(
        ensemble.predict(features)[0], predict(lone.network, features), atol=1e-4
    )


def agree(ours: list[np.ndarray], network: keras.Model) -> None:
    for one, other in zip(ours, network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
