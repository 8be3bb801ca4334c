"""The worked numbers of the foundations, from the functions that compute them; and the page."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

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
from course.foundations.lesson import LessonData, double_precision, format_numbers
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


def test_double_precision_is_given_back_after_an_error() -> None:
    import keras

    keras.config.set_floatx("float32")
    with pytest.raises(KeyError), double_precision():
        assert keras.config.floatx() == keras.config.dtype_policy().name == "float64"
        raise KeyError
    assert keras.config.floatx() == "float32"


def test_numbers_are_printed_as_people_read_them() -> None:
    printed = format_numbers("x = -2.20, 1.6e-06, 0e+00 and 4e+02").replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert printed == "x = −2.20, 1.6 × 10⁻⁶, 0 and 4 × 10²"
    assert format_numbers("1981-84, cp-4, a-1") == "1981-84, cp-4, a-1"


def test_a_neuron_adds_up(data: LessonData) -> None:
    found = neurons.trace_neuron(data)
    assert found.products.sum() + found.bias == pytest.approx(found.total, abs=1e-12)
    assert found.output == found.total > 0
    assert list(found.layers.values()) == [29 * 16 + 16, 16 + 1]


def test_without_a_hidden_layer_the_coefficients_are_those_of_logistic_regression(
    data: LessonData,
) -> None:
    for one in neurons.compare_with_logistic(data.features, data.labels):
        assert one.network.shape == (30,)
        assert np.abs(one.reference).max() > 1
        np.testing.assert_allclose(one.network, one.reference, atol=2e-5)


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
    for name, slopes_ in expected.items():
        np.testing.assert_allclose(activations.activation_curve(name, x)[1], slopes_, atol=1e-12)


def test_what_keras_takes_where_nothing_is_said() -> None:
    assert activations.keras_default_activation() == "linear"
    name, kernel = weight_initialization.keras_kernel(29, 16)
    limit = math.sqrt(6 / (29 + 16))
    assert name == "GlorotUniform"
    assert 0.95 * limit < np.abs(kernel).max() <= limit


def test_the_worked_example_of_three_classes() -> None:
    nats = losses.cross_entropies(np.array(losses.EXAMPLE))
    assert nats.round(2).tolist() == [1.61, 1.20, 0.69]
    np.testing.assert_allclose(nats, -np.log([0.2, 0.3, 0.5]), atol=1e-12)


def test_the_slopes_of_three_losses() -> None:
    p = 0.01
    found = losses.loss_shapes(np.array([math.log(p / (1 - p))]))
    assert found["cross-entropy"][0][0] == pytest.approx(-math.log(p))
    assert found["cross-entropy"][1][0] == pytest.approx(p - 1)
    assert found["squared error"][1][0] == pytest.approx(-2 * p * (1 - p) ** 2)
    assert found["absolute error"][1][0] == pytest.approx(-p * (1 - p))


def test_descent_on_the_quartic_settles_only_below_two_over_the_curvature() -> None:
    left = gradient_descent.valleys()[0]
    rates = np.array([0.9, 1.1]) * 2 / (3 * left**2 - 2)
    start = np.full((1, 2), left + 1e-3)
    path = gradient_descent.descend(
        gradient_descent.quartic, start, learning_rate=rates, steps=100
    )[:, 0]
    assert abs(path[-1, 0] - left) < 1e-6
    assert abs(path[-1, 1] - left) > 0.01


def test_only_the_exact_gradient_stays_on_the_saddle() -> None:
    stuck = gradient_descent.cross_saddle()
    assert stuck.escape_steps["exact gradient"] is None
    assert np.linalg.norm(stuck.paths["exact gradient"][-1]) < 1e-4
    assert stuck.escape_steps["started 0.001 beside"] and stuck.escape_steps["noisy gradient"]


def test_the_noise_of_a_batch_falls_with_the_root_of_its_size(data: LessonData) -> None:
    found = minibatches.measure_noise(data, n_batches=200)
    expected = found.relative_errors[0] / np.sqrt(minibatches.SIZES)
    np.testing.assert_allclose(found.relative_errors, expected, rtol=0.2)


def test_smaller_batches_get_further_in_as_many_epochs(data: LessonData) -> None:
    ends = {size: each[-1].mean() for size, each in minibatches.compare_sizes(data, 5, 2).items()}
    assert ends[1] < ends[32] < ends["all"]


@pytest.mark.slow
def test_every_optimizer_gets_to_the_bottom_of_the_valley_and_momentum_before_plain() -> None:
    ways = optimizers.cross_valley()
    arrived = {name: way.n_steps for name, way in ways.items()}
    assert all(arrived.values()), arrived
    assert arrived["momentum"] < arrived["sgd"] and arrived["nesterov"] < arrived["sgd"]  # type: ignore[operator]
    for way in ways.values():
        assert np.linalg.norm(way.path[way.n_steps :], axis=1).max() < 0.1


def test_from_zeros_nothing_is_learned_but_the_share_of_the_ill(data: LessonData) -> None:
    found = weight_initialization.compare_initializers(data, epochs=3, seeds=1)
    assert found.moved == 0
    assert found.answers[0] == pytest.approx(found.answers[1], abs=1e-12)
    assert found.losses["glorot"][-1] < found.losses["zeros"][-1]


def test_gradients_vanish_explode_and_keep_their_length(data: LessonData) -> None:
    found = {
        stack.label: weight_initialization.gradient_norms(data, stack, 3)
        for stack in weight_initialization.DEEP_NETWORKS
    }
    ratio = {words: sizes[0] / sizes[-1] for words, sizes in found.items()}
    assert ratio["sigmoid, Glorot"] < 1e-8
    assert ratio["tanh, 3 × Glorot"] > 100
    for words in ("tanh, Glorot", "ReLU, He", "ReLU, normal 0.05", "ReLU, 2 × He"):
        assert 0.05 < ratio[words] < 20
    assert found["ReLU, normal 0.05"].max() < 1e-10
    assert found["ReLU, 2 × He"].min() > 1e3


def test_the_chain_rule_agrees_with_the_backend() -> None:
    nodes = backpropagation.chain()
    assert nodes[0].gradient == pytest.approx(math.prod(node.local for node in nodes), abs=1e-12)
    assert nodes[0].gradient == pytest.approx(backpropagation.chain_by_backend(), abs=1e-12)


def test_backpropagated_gradients_agree_with_finite_differences(data: LessonData) -> None:
    found = backpropagation.check_gradients(data)
    assert found.exact.shape == (497,)
    assert found.errors[found.best] < 1e-8 < np.abs(found.exact).max()
    assert 0 < found.best < len(found.widths) - 1


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
    found, said = multiclass.three_classes(data)
    assert np.bincount(found).tolist() == [164, 55, 84]
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-12)
    assert -np.log(said[np.arange(303), found]).mean() < 0.8


def test_accuracy_and_error_rate_count_the_same_patients() -> None:
    labels, said = np.array([0, 0, 1, 1]), np.array([0.2, 0.4, 0.5, 0.4])
    assert metrics.accuracy_and_error_rate(labels, said) == (0.75, 0.25)
    assert metrics.accuracy_and_error_rate(labels, said, 0.45) == (0.75, 0.25)
    assert metrics.accuracy_and_error_rate(labels, said, 0.3) == (0.75, 0.25)
    assert metrics.accuracy_and_error_rate(labels, said, 0.6) == (0.5, 0.5)


def test_a_higher_cost_misses_fewer_and_is_no_probability(data: LessonData) -> None:
    found = metrics.compare_costs(data)
    assert (
        found.missed[0] == found.moved_missed[0] and found.false_alarms[0] == found.moved_alarms[0]
    )
    assert (np.diff(found.missed) < 0).all() and (np.diff(found.false_alarms) > 0).all()
    assert abs(found.means[0] - data.labels.mean()) < 0.02 < found.means[-1] - 0.6


@pytest.mark.slow
def test_early_stopping_is_better_on_patients_that_neither_saw(data: LessonData) -> None:
    found = overfitting.overfit(data, epochs=400, patience=20, splits=20)
    assert found.training[-1] < 0.15 and found.validation[-1] > found.validation.min() + 0.1
    assert (found.tests[1] < found.tests[0]).mean() > 0.9


@pytest.mark.slow
def test_without_relu_two_layers_give_the_line_of_least_squares() -> None:
    x = np.linspace(-np.pi, np.pi, 64)
    line = np.polyval(np.polyfit(x, np.sin(x), 1), x)
    np.testing.assert_allclose(activations.fit_sine("linear", x).best, line, atol=1e-3)
    assert activations.fit_sine("relu", x).errors.min() < 0.03


@pytest.mark.slow
def test_the_command_writes_every_subject_with_a_figure_and_two_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from course.__main__ import foundations
    from course.foundations.build import LESSONS

    monkeypatch.chdir(ROOT)
    written = tmp_path / "page.html"
    result = CliRunner().invoke(foundations, ["--output", str(written)])
    assert result.exit_code == 0, result.output
    check_page(written.read_text())
    assert len(re.findall("<section ", written.read_text())) == len(LESSONS)


def test_the_page_that_is_kept_is_whole() -> None:
    check_page((ROOT / "docs/foundations.html").read_text())


def check_page(page: str) -> None:
    """Every section has a figure with words, and nothing is fetched from anywhere."""
    assert len(page.encode()) < 1_000_000
    sections = re.findall(r"<section id=\"([^\"]+)\">(.*?)</section>", page, flags=re.DOTALL)
    assert len(sections) == 21
    for key, section in sections:
        assert f'href="#{key}"' in page
        assert re.search(r"<h2>\d+\. \w[^<]+</h2>", section), key
        (title,) = re.findall(r'<svg [^>]*role="img"[^>]*><title>([^<]+)</title>', section)
        assert len(title) > 40, key
        (said,) = re.findall(r"<p>(.*?)</p>", section, flags=re.DOTALL)
        assert len(said) > 150 and re.search(r"\d", said), key
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
