from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from model.errors import InvalidConfig
from model.inference import ActivationName
from model.training import Head, TrainingConfig, fit_network, predict
from model.training.ensemble import MemberSpec, fit_ensemble
from model.training.ensemble.packing import epoch_dropout_masks

N_FEATURES = 7


def sample(n: int = 75) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(n, N_FEATURES))
    return features, (features[:, 0] + draw.normal(size=n) > 0).astype(int)


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Compute in float64, so that differences show the method and not rounding."""
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
    {},
    {"hidden": (4, 3), "activation": "tanh"},
    {"loss": "focal"},
    {"batch_size": "all"},
    {"optimizer": "nesterov", "schedule": "cosine"},
)
MORE: tuple[dict[str, Any], ...] = (
    {"hidden": ()},
    {"activation": "softmax"},
    {"activation": "sigmoid"},
    {"activation": "leaky_relu", "initial_weights": "he"},
    {"activation": "linear", "initial_weights": "normal"},
    {"loss": "squared_error"},
    {"positive_class_weight": 3.0},
    {"batch_size": 1},
    {"optimizer": "sgd", "schedule": "linear"},
    {"optimizer": "momentum", "schedule": "exponential"},
    {"optimizer": "rmsprop", "schedule": "steps"},
    {"optimizer": "adagrad"},
)
# As folds and bootstrap samples: different rows and numbers of steps, and repeated rows.
ROWS = (np.arange(64), np.array([0, 0, 1, *range(20, 70)]))


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(
    "choices", [*QUICK, *(pytest.param(c, marks=pytest.mark.slow) for c in MORE)], ids=str
)
def test_a_member_equals_a_single_fit(choices: dict[str, Any]) -> None:
    """Other members differ in rows, seed, width, learning rate, L2 and number of epochs."""
    features, labels = sample()
    wider = tuple(units + 1 for units in choices.get("hidden", (5,)))
    others = {"hidden": wider, "seed": 2, "l2": 0.0, "learning_rate": 0.02, "epochs": 3}
    configs = [small(**choices), small(**choices | others)]
    # Two members per group. The second group has fewer steps per epoch, and a repeated row.
    members = [MemberSpec(config, rows) for rows in ROWS for config in configs]
    ensemble = fit_ensemble(features, labels, members)
    for number in (0, 3):
        config, rows = members[number].config, ROWS[number // 2]
        single = fit_network(features[rows], labels[rows], config)
        assert_equal_weights(ensemble.weights(number), single.network)
        losses = ensemble.losses()[:, number]
        np.testing.assert_allclose(losses[: config.epochs], single.history["loss"], atol=1e-6)
        assert np.isnan(losses[config.epochs :]).all()


@pytest.mark.usefixtures("double_precision")
def test_bootstrap_weights_equal_a_single_fit_with_row_weights() -> None:
    features, labels = sample()
    counts = np.random.default_rng(3).multinomial(75, np.full(75, 1 / 75), size=3)
    config = small(positive_class_weight=2.0)
    ensemble = fit_ensemble(
        features, labels, [MemberSpec(config, weights=sample_counts) for sample_counts in counts]
    )
    for number in (0, 2):
        single = fit_network(features, labels, config, weights=counts[number])
        assert_equal_weights(ensemble.weights(number), single.network)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("activation", ["leaky_relu", "elu", "gelu", "silu", "softplus"])
def test_every_activation(activation: ActivationName) -> None:
    features, labels = sample()
    config = small(activation=activation)
    ensemble = fit_ensemble(features, labels, [MemberSpec(config)])
    assert_equal_weights(ensemble.weights(0), fit_network(features, labels, config).network)


@pytest.mark.usefixtures("double_precision")
def test_members_stop_early_like_a_single_fit() -> None:
    features, labels = sample()
    rows, validation_rows = np.arange(60), np.arange(60, 75)
    configs = [
        small(seed=seed, epochs=40, learning_rate=0.1, patience=patience, validation_fraction=0.2)
        for seed, patience in ((1, 1), (2, 3), (3, 0))
    ]
    members = [MemberSpec(config, rows, validation_rows=validation_rows) for config in configs]
    ensemble = fit_ensemble(features, labels, members)
    validation = features[validation_rows], labels[validation_rows]
    n_epochs = []
    for number, config in enumerate(configs):
        single = fit_network(features[rows], labels[rows], config, validation=validation)
        assert_equal_weights(ensemble.weights(number), single.network)
        losses = ensemble.validation_losses()[:, number]
        expected = single.history["val_loss"]
        np.testing.assert_allclose(losses[: len(expected)], expected, atol=1e-6)
        assert np.isnan(losses[len(expected) :]).all()
        if config.patience:
            assert ensemble.best_epochs()[number] == 1 + int(np.argmin(expected))
        n_epochs.append(len(expected))
    assert n_epochs[0] < n_epochs[1] < n_epochs[2] == 40
    assert ensemble.best_epochs()[2] == 40


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(
    ("head", "choices"),
    [
        (Head(3, "softmax"), {}),
        (Head(3, "softmax"), {"loss": "focal"}),
        (Head(1, "linear"), {"loss": "squared_error"}),
    ],
)
def test_heads_for_several_classes_and_for_a_number(head: Head, choices: dict[str, Any]) -> None:
    features, _ = sample()
    classes = np.digitize(features[:, 0], [-0.5, 0.5])
    labels = np.eye(3)[classes] if head.units == 3 else features[:, 0] ** 2
    config = small(**choices)
    ensemble = fit_ensemble(features, labels, [MemberSpec(config)], head=head)
    network = fit_network(features, labels, config, head=head).network
    assert_equal_weights(ensemble.weights(0), network)
    expected = keras.ops.convert_to_numpy(network(features))
    predictions = ensemble.predict(features)[0].reshape(expected.shape)
    np.testing.assert_allclose(predictions, expected, atol=1e-6)


def test_cross_entropy_rejects_a_linear_head() -> None:
    features, labels = sample()
    with pytest.raises(InvalidConfig, match="the output is a number"):
        fit_ensemble(features, labels, [MemberSpec(small())], head=Head(1, "linear"))


def test_different_members_keep_their_order() -> None:
    features, labels = sample()
    configs = [
        small(activation="tanh"),
        small(hidden=(3, 2)),
        small(activation="tanh", hidden=(2,)),
        small(optimizer="sgd"),
        small(batch_size=20),
        small(loss="focal"),
        small(hidden=(9,)),
    ]
    ensemble = fit_ensemble(features, labels, [MemberSpec(config) for config in configs])
    predictions = ensemble.predict(features)
    assert predictions.shape == (len(configs), len(features))
    for number, config in enumerate(configs):
        alone = fit_ensemble(features, labels, [MemberSpec(config)])
        np.testing.assert_allclose(predictions[number], alone.predict(features)[0], atol=1e-5)
        network = ensemble.network(number)
        assert [layer.units for layer in network.layers[1:-1]] == list(config.hidden)
        np.testing.assert_allclose(predictions[number], predict(network, features), atol=1e-6)


def test_the_number_of_programs_does_not_change_the_members() -> None:
    features, labels = sample()
    members = [MemberSpec(small(seed=seed)) for seed in range(5)]
    one_program = fit_ensemble(features, labels, members).predict(features)
    several_programs = fit_ensemble(features, labels, members, members_per_program=2).predict(
        features
    )
    np.testing.assert_allclose(one_program, several_programs, atol=1e-5)
    assert len({*one_program[:, 0].round(4)}) == 5


def test_each_member_uses_its_own_table() -> None:
    features, labels = sample()
    tables = np.stack([features, -features[:, ::-1]])
    members = [MemberSpec(small(), table=1), MemberSpec(small(), table=0)]
    predictions = fit_ensemble(tables, labels, members).predict(tables)
    for number, table in enumerate((1, 0)):
        alone = fit_ensemble(tables[table], labels, [MemberSpec(small())]).predict(tables[table])
        np.testing.assert_allclose(predictions[number], alone[0], atol=1e-5)


def test_tables_may_differ_in_their_labels() -> None:
    features, labels = sample()
    both = np.stack([labels, 1 - labels])[:, :, None]
    tables = np.stack([features, features])
    members = [MemberSpec(small(), table=table) for table in (0, 1)]
    original, inverted = fit_ensemble(tables, both, members).predict(tables)
    alone = fit_ensemble(features, 1 - labels, [MemberSpec(small())]).predict(features)[0]
    np.testing.assert_allclose(inverted, alone, atol=1e-5)
    assert np.corrcoef(original, inverted)[0, 1] < -0.8


def test_dropout_affects_only_members_that_have_it() -> None:
    features, labels = sample()
    configs = [small(dropout=0.5), small(dropout=0.5, seed=1), small()]
    first, second, plain = fit_ensemble(
        features, labels, [MemberSpec(config) for config in configs]
    ).predict(features)
    alone = fit_ensemble(features, labels, [MemberSpec(small())]).predict(features)[0]
    np.testing.assert_allclose(plain, alone, atol=1e-5)
    assert np.abs(first - plain).max() > 1e-3 and np.abs(first - second).max() > 1e-3
    many_epochs = small(hidden=(40,), dropout=0.4, epochs=60)
    single = fit_network(features, labels, many_epochs)
    losses = fit_ensemble(features, labels, [MemberSpec(many_epochs)]).losses()[:, 0]
    assert losses[-1] < 0.6 * losses[0]
    assert abs(losses[-10:].mean() - np.mean(single.history["loss"][-10:])) < 0.1


def test_dropout_rates_may_differ_within_a_program() -> None:
    grid = [[small(dropout=0.25), small(dropout=0.5)]]
    masks = next(epoch_dropout_masks(grid, 50, 64, "float32"))[0]
    assert masks.shape == (50, 1, 64, 5, 2)
    np.testing.assert_allclose(masks.mean(axis=(0, 1, 2, 3)), 1, atol=0.03)
    for member, rate in enumerate((0.25, 0.5)):
        assert set(np.unique(masks[..., member])) == {np.float32(0), np.float32(1 / (1 - rate))}
        assert np.mean(masks[..., member] == 0) == pytest.approx(rate, abs=0.02)


def test_patience_needs_validation_rows() -> None:
    features, labels = sample()
    config = small(patience=2, validation_fraction=0.2)
    with pytest.raises(InvalidConfig, match="validation_rows"):
        fit_ensemble(features, labels, [MemberSpec(config)])


def test_in_single_precision_a_member_differs_from_a_single_fit_only_by_rounding() -> None:
    features, labels = sample()
    config = TrainingConfig(epochs=10)
    single = fit_network(features, labels, config)
    ensemble = fit_ensemble(features, labels, [MemberSpec(config)])
    np.testing.assert_allclose(
        ensemble.predict(features)[0], predict(single.network, features), atol=1e-4
    )


def assert_equal_weights(weights: list[np.ndarray], network: keras.Model) -> None:
    for weight, expected in zip(weights, network.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=0, atol=1e-6)
