"""Results of the lessons' functions, the command, and the page in docs/."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from course.__main__ import foundations
from course.foundations import (
    activations,
    backpropagation,
    gradient_descent,
    losses,
    metrics,
    minibatches,
    multiclass,
    neurons,
    optimizers,
    overfitting,
    weight_initialization,
)
from course.foundations.build import LESSONS
from course.foundations.lesson import LessonData, double_precision, format_numbers
from model.inference import ACTIVATIONS
from model.training import describe_layers
from pipelines.data import Table
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def data(table: Table) -> LessonData:
    return LessonData(table)


@pytest.fixture(autouse=True)
def _in_float64() -> Iterator[None]:
    with double_precision():
        yield


def test_double_precision_is_restored_after_an_error() -> None:
    import keras

    keras.config.set_floatx("float32")
    with pytest.raises(KeyError), double_precision():
        assert keras.config.floatx() == keras.config.dtype_policy().name == "float64"
        raise KeyError
    assert keras.config.floatx() == "float32"


def test_numbers_have_minus_signs_and_powers_of_ten() -> None:
    text = format_numbers("x = -2.20, 1.6e-06, 0e+00 and 4e+02").replace("\N{NO-BREAK SPACE}", " ")
    assert text == "x = −2.20, 1.6 × 10⁻⁶, 0 and 4 × 10²"
    assert format_numbers("1981-84, cp-4, a-1") == "1981-84, cp-4, a-1"


def test_a_neuron_adds_its_products_and_its_bias(data: LessonData) -> None:
    neuron = neurons.trace_neuron(data)
    assert neuron.products.sum() + neuron.bias == pytest.approx(neuron.total, abs=1e-12)
    assert neuron.output == neuron.total > 0
    assert list(neuron.layers.values()) == [29 * 16 + 16, 16 + 1]


def test_without_a_hidden_layer_the_coefficients_are_those_of_logistic_regression(
    data: LessonData,
) -> None:
    for comparison in neurons.compare_with_logistic(data.features, data.labels):
        assert comparison.network.shape == (30,)
        assert np.abs(comparison.reference).max() > 1
        np.testing.assert_allclose(comparison.network, comparison.reference, atol=2e-5)


def test_derivatives_are_those_of_the_formulas() -> None:
    x = np.array([-2.0, -0.5, 0.5, 2.0])
    sigmoid = 1 / (1 + np.exp(-x))
    expected = {
        "linear": np.ones(4),
        "sigmoid": sigmoid * (1 - sigmoid),
        "softmax": sigmoid * (1 - sigmoid),
        "tanh": 1 - np.tanh(x) ** 2,
        "relu": np.array([0, 0, 1, 1]),
        "leaky_relu": np.array([0.2, 0.2, 1, 1]),
    }
    for name, derivative in expected.items():
        np.testing.assert_allclose(activations.activation_curve(name, x)[1], derivative, atol=1e-12)


def test_the_defaults_of_keras() -> None:
    assert activations.keras_default_activation() == "linear"
    name, kernel = weight_initialization.keras_kernel(29, 16)
    limit = math.sqrt(6 / (29 + 16))
    assert name == "GlorotUniform"
    assert 0.95 * limit < np.abs(kernel).max() <= limit


def test_the_example_of_three_classes() -> None:
    nats = losses.cross_entropies(np.array(losses.EXAMPLE))
    assert nats.round(2).tolist() == [1.61, 1.20, 0.69]
    np.testing.assert_allclose(nats, -np.log([0.2, 0.3, 0.5]), atol=1e-12)


def test_the_derivatives_of_three_losses() -> None:
    p = 0.01
    shapes = losses.loss_shapes(np.array([math.log(p / (1 - p))]))
    assert shapes["cross-entropy"][0][0] == pytest.approx(-math.log(p))
    assert shapes["cross-entropy"][1][0] == pytest.approx(p - 1)
    assert shapes["squared error"][1][0] == pytest.approx(-2 * p * (1 - p) ** 2)
    assert shapes["absolute error"][1][0] == pytest.approx(-p * (1 - p))


def test_descent_on_the_quartic_converges_only_below_two_over_the_curvature() -> None:
    left = gradient_descent.valleys()[0]
    rates = np.array([0.9, 1.1]) * 2 / (3 * left**2 - 2)
    start = np.full((1, 2), left + 1e-3)
    path = gradient_descent.descend(
        gradient_descent.quartic, start, learning_rate=rates, steps=100
    )[:, 0]
    assert abs(path[-1, 0] - left) < 1e-6
    assert abs(path[-1, 1] - left) > 0.01


def test_only_the_exact_gradient_stays_at_the_saddle_point() -> None:
    descents = gradient_descent.cross_saddle()
    escape_steps = dict(descents.escape_steps)
    assert escape_steps.pop("exact gradient") is None
    assert np.linalg.norm(descents.paths["exact gradient"][-1]) < 1e-4
    assert len(escape_steps) == 2 and all(escape_steps.values())


def test_the_noise_of_a_batch_falls_with_the_root_of_its_size(data: LessonData) -> None:
    errors = minibatches.measure_noise(data, n_batches=200).relative_errors
    expected = errors[0] / np.sqrt(minibatches.SIZES)
    np.testing.assert_allclose(errors, expected, rtol=0.2)


def test_smaller_batches_have_a_lower_loss_after_the_same_epochs(data: LessonData) -> None:
    losses_by_size = minibatches.compare_sizes(data, 5, 2)
    final = {size: losses[-1].mean() for size, losses in losses_by_size.items()}
    assert final[1] < final[32] < final["all"]


@pytest.mark.slow
def test_every_optimizer_reaches_the_minimum_and_momentum_before_plain_descent() -> None:
    runs = optimizers.cross_valley()
    n_steps = {name: run.n_steps or math.inf for name, run in runs.items()}
    assert max(n_steps.values()) < math.inf, n_steps
    assert max(n_steps["momentum"], n_steps["nesterov"]) < n_steps["sgd"]
    for run in runs.values():
        assert np.linalg.norm(run.path[run.n_steps :], axis=1).max() < 0.1


def test_from_zeros_only_the_prevalence_is_learned(data: LessonData) -> None:
    comparison = weight_initialization.compare_initializers(data, epochs=3, seeds=1)
    assert comparison.largest_weight == 0
    low, high = comparison.probability_range
    assert low == pytest.approx(high, abs=1e-12)
    assert comparison.losses["glorot"][-1] < comparison.losses["zeros"][-1]


def test_gradients_vanish_explode_or_keep_their_norm(data: LessonData) -> None:
    norms = {
        network.label: weight_initialization.gradient_norms(data, network, 3)
        for network in weight_initialization.DEEP_NETWORKS
    }
    ratio = {name: by_layer[0] / by_layer[-1] for name, by_layer in norms.items()}
    assert ratio["sigmoid, Glorot"] < 1e-8
    assert ratio["tanh, 3 × Glorot"] > 100
    for name in ("tanh, Glorot", "ReLU, He", "ReLU, normal 0.05", "ReLU, 2 × He"):
        assert 0.05 < ratio[name] < 20
    assert norms["ReLU, normal 0.05"].max() < 1e-10
    assert norms["ReLU, 2 × He"].min() > 1e3


def test_the_chain_rule_agrees_with_the_backend() -> None:
    nodes = backpropagation.chain()
    assert nodes[0].gradient == pytest.approx(math.prod(node.local for node in nodes), abs=1e-12)
    assert nodes[0].gradient == pytest.approx(backpropagation.chain_by_backend(), abs=1e-12)


def test_backpropagated_gradients_agree_with_finite_differences(data: LessonData) -> None:
    check = backpropagation.check_gradients(data)
    assert check.exact.shape == (497,)
    assert check.errors[check.best] < 1e-8 < np.abs(check.exact).max()
    assert 0 < check.best < len(check.widths) - 1


def test_the_network_on_xor_has_44_parameters() -> None:
    network = overfitting.fit_xor("relu", starts=1, epochs=1).network(0)
    assert network.count_params() == 44
    assert [layer["params"] for layer in describe_layers(network)[1:]] == [15, 24, 5]


@pytest.mark.slow
def test_the_network_learns_xor_from_some_starts_and_never_without_a_hidden_layer() -> None:
    ensemble = overfitting.fit_xor("relu", starts=8)
    assert ensemble.members[0].config.epochs == 2_001
    assert 2 <= overfitting.solved(ensemble).sum() < 8
    line = overfitting.fit_xor("relu", hidden=(), starts=1)
    np.testing.assert_allclose(line.predict(overfitting.POINTS)[0], 0.5, atol=1e-6)


def test_three_classes_are_predicted_out_of_fold_and_add_up_to_one(data: LessonData) -> None:
    classes, probabilities = multiclass.three_classes(data)
    assert np.bincount(classes).tolist() == [164, 55, 84]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert -np.log(probabilities[np.arange(303), classes]).mean() < 0.8


def test_accuracy_and_error_rate_count_the_same_patients() -> None:
    labels, probabilities = np.array([0, 0, 1, 1]), np.array([0.2, 0.4, 0.5, 0.4])
    assert metrics.accuracy_and_error_rate(labels, probabilities) == (0.75, 0.25)
    assert metrics.accuracy_and_error_rate(labels, probabilities, 0.45) == (0.75, 0.25)
    assert metrics.accuracy_and_error_rate(labels, probabilities, 0.3) == (0.75, 0.25)
    assert metrics.accuracy_and_error_rate(labels, probabilities, 0.6) == (0.5, 0.5)


def test_a_higher_cost_misses_fewer_and_does_not_predict_probabilities(data: LessonData) -> None:
    costs = metrics.compare_costs(data)
    assert costs.missed[0] == costs.moved_missed[0]
    assert costs.false_alarms[0] == costs.moved_alarms[0]
    assert (np.diff(costs.missed) < 0).all() and (np.diff(costs.false_alarms) > 0).all()
    assert abs(costs.means[0] - data.labels.mean()) < 0.02 < costs.means[-1] - 0.6


def test_the_lesson_on_activations_draws_each_of_them(data: LessonData) -> None:
    figure = activations.activation(data).figure
    assert len(ACTIVATIONS) == 10 and ", ".join(ACTIVATIONS) in figure


@pytest.mark.slow
def test_early_stopping_is_better_on_test_patients(data: LessonData) -> None:
    fits = overfitting.overfit(data, epochs=400, patience=20, splits=20)
    assert fits.training[-1] < 0.15 and fits.validation[-1] > fits.validation.min() + 0.1
    assert (fits.test_losses[1] < fits.test_losses[0]).mean() > 0.9


@pytest.mark.slow
def test_without_relu_two_layers_are_the_line_of_least_squares() -> None:
    x = np.linspace(-np.pi, np.pi, 64)
    line = np.polyval(np.polyfit(x, np.sin(x), 1), x)
    np.testing.assert_allclose(activations.fit_sine("linear", x).best, line, atol=1e-3)
    assert activations.fit_sine("relu", x).errors.min() < 0.03


@pytest.mark.slow
def test_the_command_writes_every_lesson_with_a_figure_and_two_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    path = tmp_path / "page.html"
    result = CliRunner(env={"JAX_ENABLE_X64": "1"}).invoke(foundations, ["--output", str(path)])
    assert result.exit_code == 0, result.output
    page = path.read_text()
    check_page(page)
    assert len(re.findall("<section ", page)) == len(LESSONS)


def test_the_command_shows_an_error_as_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder without the bundled table, or with a schema that is not valid."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "schemas").mkdir()
    for content in (None, "columns = 1"):
        if content:
            (tmp_path / "schemas/cleveland.toml").write_text(content)
        result = CliRunner(env={"JAX_ENABLE_X64": "1"}).invoke(
            foundations, ["--output", "page.html"]
        )
        assert result.exit_code == 1
        assert result.output.startswith("Error: ") and "schemas/cleveland.toml" in result.output


def test_the_page_in_docs_is_complete() -> None:
    check_page((ROOT / "docs/foundations.html").read_text())


def check_page(page: str) -> None:
    """Check that every section has a figure with a text, and that nothing external is loaded."""
    assert len(page.encode()) < 1_000_000
    sections = re.findall(r"<section id=\"([^\"]+)\">(.*?)</section>", page, flags=re.DOTALL)
    assert len(sections) == 21
    for key, section in sections:
        assert f'href="#{key}"' in page
        assert re.search(r"<h2>\d+\. \w[^<]+</h2>", section), key
        (title,) = re.findall(r'<svg [^>]*role="img"[^>]*><title>([^<]+)</title>', section)
        assert len(title) > 40, key
        (text,) = re.findall(r"<p>(.*?)</p>", section, flags=re.DOTALL)
        assert len(text) > 150 and re.search(r"\d", text), key
    assert not re.search(
        r"(?:src|href)=\"(?!#)|@import|url\((?!#)|https?:|<script|<image|<text", page
    )
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', page)) <= set(ids)
    for fact in (
        "−ln 0.3 ≈ 1.20",
        "−ln 0.5 ≈ 0.69",
        "= 497",
        "= 44 parameters",
        "2,001 epochs",
        "“linear”",
        "GlorotUniform",
    ):
        assert fact in page, fact
