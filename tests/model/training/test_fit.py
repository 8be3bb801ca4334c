from __future__ import annotations

import io
from typing import Any

import keras
import msgspec
import numpy as np
import pytest

from model.inference import DenseLayer
from model.training import (
    TrainingConfig,
    append_layers,
    build_network,
    dense_layers,
    fit_network,
    load_network,
    predict,
    read_layers,
    scale_output,
)
from model.training.config import learning_rates
from model.training.fit import EpochProgressBar
from model.training.keras_network import save_weights


def sample(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    features = draw.normal(size=(n, 29))
    return features, (features[:, 0] + features[:, 1] > 0).astype(int)


def test_497_parameters_in_keras_functional_layers() -> None:
    network = build_network(TrainingConfig(), 29)
    assert network.count_params() == 497
    assert [layer.name for layer in network.layers] == ["features", "hidden_1", "probability"]
    assert [layer.activation.__name__ for layer in network.layers[1:]] == ["relu", "sigmoid"]
    assert network.loss.name == "binary_crossentropy"
    assert isinstance(network.optimizer, keras.optimizers.Adam)


def test_no_hidden_layer_is_logistic_regression() -> None:
    network = build_network(TrainingConfig(hidden=()), 29)
    assert network.count_params() == 30


def test_settings_reach_the_network() -> None:
    config = TrainingConfig(
        hidden=(8, 4),
        activation="tanh",
        learning_rate=0.01,
        l2=0.1,
        dropout=0.25,
        optimizer="nesterov",
        momentum=0.8,
        loss="focal",
        focal_gamma=1.5,
    )
    network = build_network(config, 29)
    hidden = [layer for layer in dense_layers(network) if layer.name != "probability"]
    assert [layer.units for layer in hidden] == [8, 4]
    assert [layer.activation.__name__ for layer in hidden] == ["tanh", "tanh"]
    assert float(hidden[0].kernel_regularizer.l2) == pytest.approx(0.1)
    assert [layer.rate for layer in network.layers if hasattr(layer, "rate")] == [0.25, 0.25]
    assert float(network.optimizer.learning_rate) == pytest.approx(0.01)
    assert (network.optimizer.momentum, network.optimizer.nesterov) == (0.8, True)
    assert (network.loss.name, network.loss.gamma) == ("binary_focal_crossentropy", 1.5)


def test_a_schedule_changes_the_learning_rate() -> None:
    features, labels = sample()
    rates: list[float] = []
    record_rate = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: rates.append(float(logs["learning_rate"]))
    )
    config = TrainingConfig(epochs=4, schedule="cosine", learning_rate=0.01)
    fit = fit_network(features, labels, config, callbacks=[record_rate])
    assert rates == pytest.approx(learning_rates(config).tolist(), rel=1e-5)
    assert set(fit.history) == {"loss", "accuracy"}


def test_early_stopping_restores_the_best_weights() -> None:
    features, labels = sample()
    inverted = (features, 1 - labels)  # training increases this validation loss
    config = TrainingConfig(epochs=50, patience=2, validation_fraction=0.2, learning_rate=0.05)
    fit = fit_network(features, labels, config, validation=inverted)
    assert (len(fit.history["loss"]), fit.n_epochs) == (3, 1)
    one_epoch = msgspec.structs.replace(config, epochs=1)
    expected = fit_network(features, labels, one_epoch, validation=inverted).network
    np.testing.assert_allclose(
        predict(fit.network, features), predict(expected, features), atol=1e-6
    )


def test_the_positive_class_weight_raises_the_probabilities() -> None:
    features, labels = sample()
    plain, weighted = (
        predict(
            fit_network(
                features, labels, TrainingConfig(epochs=5, positive_class_weight=weight)
            ).network,
            features,
        )
        for weight in (1.0, 10.0)
    )
    assert weighted.mean() > plain.mean() + 0.02


def test_small_initial_weights_are_a_tenth_of_glorot() -> None:
    small, glorot = (
        build_network(TrainingConfig(initial_weights=kind), 29).get_weights()
        for kind in ("small", "glorot")
    )
    np.testing.assert_allclose(small[0] * 10, glorot[0], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(small[2], glorot[2])
    limit = np.sqrt(6 / (29 + 16))
    assert 0.9 * limit < np.abs(glorot[0]).max() <= limit


def test_initial_weights_depend_only_on_the_config() -> None:
    expected = build_network(TrainingConfig(seed=3), 29).get_weights()
    keras.random.uniform((7,))  # advances the global generator
    weights = build_network(TrainingConfig(seed=3), 29).get_weights()
    for weight, expected_weight in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(weight, expected_weight)


def test_the_same_seed_gives_the_same_weights() -> None:
    features, labels = sample()

    def weights(seed: int) -> np.ndarray:
        np.random.default_rng().normal()
        keras.random.uniform((3,))  # earlier draws must have no effect
        network = fit_network(features, labels, TrainingConfig(epochs=2, seed=seed)).network
        return np.concatenate([w.ravel() for w in network.get_weights()])

    np.testing.assert_array_equal(weights(5), weights(5))
    assert np.abs(weights(5) - weights(6)).max() > 1e-3


def test_the_history_includes_validation_if_there_is_any() -> None:
    features, labels = sample()
    config = TrainingConfig(epochs=3)
    history = fit_network(features, labels, config).history
    assert set(history) == {"loss", "accuracy"} and len(history["loss"]) == 3
    history = fit_network(features, labels, config, validation=(features[:9], labels[:9])).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_saved_weights_give_the_same_predictions(tmp_path: Any) -> None:
    features, labels = sample()
    config = TrainingConfig(epochs=2)
    fit = fit_network(features, labels, config)
    (tmp_path / "network.weights.h5").write_bytes(fit.weights())
    loaded = load_network(config, 29, tmp_path / "network.weights.h5")
    np.testing.assert_array_equal(predict(loaded, features), predict(fit.network, features))


def test_scale_output_scales_the_log_odds() -> None:
    features, _ = sample()
    network = build_network(TrainingConfig(initial_weights="glorot"), 29)
    before = log_odds(predict(network, features))
    scale_output(network, 0.5, 0.25)
    np.testing.assert_allclose(log_odds(predict(network, features)), 0.25 + 0.5 * before, atol=1e-5)
    scale_output(network, 2.0, -0.5)
    np.testing.assert_allclose(log_odds(predict(network, features)), before, atol=1e-5)


@pytest.mark.parametrize("hidden", [(), (16,), (8, 4)])
def test_appended_layers_transform_the_log_odds_and_are_saved_and_read(
    hidden: tuple[int, ...], tmp_path: Any
) -> None:
    features, labels = sample()
    config = TrainingConfig(hidden=hidden, epochs=2)
    network = fit_network(features, labels, config).network
    before = log_odds(predict(network, features))
    calibration_layers = [
        DenseLayer(kernel=[[1.0, -1.0]], bias=[0.0, 0.0], activation="relu"),
        DenseLayer(kernel=[[2.0], [-0.5]], bias=[0.25], activation="sigmoid"),
    ]
    calibrated = append_layers(network, calibration_layers)
    expected = np.where(before > 0, 2 * before, 0.5 * before) + 0.25
    np.testing.assert_allclose(log_odds(predict(calibrated, features)), expected, atol=1e-5)
    assert append_layers(network, []) is network
    *_, linear, relu, last = read_layers(calibrated)
    assert (linear.activation, [relu, last]) == ("linear", calibration_layers)
    save_weights(calibrated, tmp_path / "network.weights.h5")
    loaded = load_network(config, 29, tmp_path / "network.weights.h5", calibration_layers)
    np.testing.assert_array_equal(predict(loaded, features), predict(calibrated, features))


def log_odds(p: np.ndarray) -> np.ndarray:
    return np.log(p) - np.log1p(-p)


def test_the_progress_bar_shows_losses_and_metrics_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, is_terminal in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", stream)
        bar = EpochProgressBar(2)
        for epoch in range(2):
            bar.on_epoch_end(epoch, {"loss": 0.5, "val_loss": 0.625})
        bar.on_train_end()
        output = stream.getvalue()
        if is_terminal:
            assert "loss=0.5000" in output and "val_loss=0.6250" in output and "2/2" in output
        else:
            assert not output
