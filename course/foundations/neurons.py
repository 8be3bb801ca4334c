"""Lessons on neurons: one unit, the inputs, and logistic regression as a network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from sklearn.linear_model import LogisticRegression

from course.foundations.lesson import Lesson, LessonData
from model.training import RECIPES, TrainingConfig, build_network, describe_layers, fit_network
from model.training.ensemble import MemberSpec, fit_ensemble
from pipelines.html import COLOURS, FILLS, MARKERS, as_svg, label, panels, plot_style


class Neuron(NamedTuple):
    """One hidden unit of a trained network, evaluated for one record.

    Attributes:
        products: (n_features,), each feature times its weight.
        bias: the bias.
        total: the sum of the products and the bias.
        output: the output of ReLU.
        layers: the number of parameters of each layer with parameters, by name.
    """

    products: np.ndarray
    bias: float
    total: float
    output: float
    layers: dict[str, int]


def trace_neuron(data: LessonData, record: int = 0) -> Neuron:
    """Return the hidden unit of the default recipe's network with the largest sum for a record."""
    network = fit_network(data.features, data.labels, RECIPES["default"]).network
    kernel, bias = network.get_layer("hidden_1").get_weights()
    totals = data.features[record] @ kernel + bias
    unit = int(np.argmax(totals))
    layers = {layer["name"]: layer["params"] for layer in describe_layers(network)}
    return Neuron(
        data.features[record] * kernel[:, unit],
        float(bias[unit]),
        float(totals[unit]),
        float(max(totals[unit], 0)),
        {name: params for name, params in layers.items() if params},
    )


def neuron(data: LessonData) -> Lesson:
    """Return the lesson on a neuron and the number of parameters of the network."""
    trace = trace_neuron(data)
    n_features, units = len(trace.products), RECIPES["default"].hidden[0]
    total = sum(trace.layers.values())
    keras_count = build_network(RECIPES["default"], n_features).count_params()
    largest = data.schema.feature_names[int(np.argmax(np.abs(trace.products)))]
    return Lesson(
        "neuron",
        "A neuron, and how many parameters a network has",
        _draw_neuron(trace, data.schema.feature_names),
        (
            f"A neuron multiplies each of its {n_features} inputs by a weight, adds the products "
            f"and a bias, and passes the sum on through its activation: for the table's first "
            f"patient the products of this hidden unit of the trained network come to "
            f"{trace.products.sum():.3f}, most of all through {largest}, the bias adds "
            f"{trace.bias:.3f}, and ReLU hands on {trace.output:.3f}.",
            f"{units} such units have {n_features} × {units} weights and {units} biases, "
            f"{trace.layers['hidden_1']} parameters, the unit behind them has {units} weights and "
            f"a bias, {trace.layers['probability']} more: {trace.layers['hidden_1']} + "
            f"{trace.layers['probability']} = {total}, and Keras counts {keras_count}.",
        ),
    )


@plot_style()
def _draw_neuron(trace: Neuron, names: tuple[str, ...]) -> str:
    figure, (left, right) = panels(2, height=3.4, width_ratios=(1.7, 1))
    order = np.argsort(-np.abs(trace.products), kind="stable")[:10]
    rest_sum = trace.products.sum() - trace.products[order].sum()
    n_rest = len(trace.products) - len(order)
    bars = [
        *((names[i], trace.products[i]) for i in order),
        (f"the other {n_rest}", rest_sum),
        ("bias", trace.bias),
        ("sum", trace.total),
    ]
    for position, (_, value) in enumerate(bars):
        last = position == len(bars) - 1
        left.barh(
            position, value, color=FILLS[3 if last else 1], edgecolor=COLOURS[0], linewidth=0.6
        )
    left.set_yticks(range(len(bars)), [name for name, _ in bars])
    left.invert_yaxis()
    left.axvline(0, color=COLOURS[0], linewidth=0.8, linestyle="-")
    label(left, "weight × input (no unit)", "input", "One hidden unit, the first patient")
    total = 0
    layer_labels = (("hidden\nunits", "hidden_1"), ("output\nunit", "probability"))
    for position, (_, name) in enumerate(layer_labels):
        right.bar(position, trace.layers[name], 0.6, color=FILLS[1], edgecolor=COLOURS[0])
        right.text(position, trace.layers[name] + 9, str(trace.layers[name]), ha="center")
        total += trace.layers[name]
    right.bar(2, total, 0.6, color=FILLS[3], edgecolor=COLOURS[0])
    right.text(2, total + 9, str(total), ha="center")
    right.set_xticks(range(3), [*(name for name, _ in layer_labels), "all"])
    right.set_ylim(0, total * 1.1)
    label(right, "layer", "parameters (count)", "Parameters")
    return as_svg(
        figure,
        "Bars: the ten largest products of weight and input of one unit, the rest, the bias and "
        f"their sum {trace.total:.3f}; beside them the parameters of both layers, together "
        f"{total}.",
    )


def columns(data: LessonData) -> Lesson:
    """Return the lesson on the inputs: 13 columns become 29."""
    schema = data.schema
    one_hot = [column for column in schema.columns if column.kind == "category"]
    n_levels = sum(len(column.levels) for column in one_hot)
    n_plain = len(schema.columns) - len(one_hot)
    means = data.features[:, :n_plain].mean(axis=0)
    deviations = data.features[:, :n_plain].std(axis=0)
    example = next(column for column in one_hot if column.name == "cp")
    unseen = [
        name
        for name, feature in zip(schema.feature_names, data.features.T, strict=True)
        if not feature.any()
    ]
    return Lesson(
        "columns",
        f"Why {len(schema.columns)} columns become {len(schema.feature_names)} inputs",
        _draw_columns(data),
        (
            f"{n_plain} columns are numbers or steps in an order and stay one input each, with the "
            "mean taken off and divided by their standard deviation (afterwards the means are "
            f"within {np.abs(means).max():.0e} of 0, the deviations within "
            f"{np.abs(deviations - 1).max():.0e} of 1); the other {len(one_hot)} are names, and "
            f"get one input for each of their {n_levels} levels, so {n_plain} + {n_levels} = "
            f"{len(schema.feature_names)}.",
            f"The code of {example.name} is such a name: as a single number it would say that "
            f"“{example.levels[-1].label.lower()}” is {example.levels[-1].code} times "
            f"“{example.levels[1].label.lower()}”; and because the vocabulary comes from the "
            f"declaration and not from the sample, {len(unseen)} inputs "
            f"({', '.join(unseen)}) exist that no patient of this table has.",
        ),
    )


@plot_style()
def _draw_columns(data: LessonData) -> str:
    figure, (axes,) = panels(height=3.2)
    schema = data.schema
    feature_columns = schema.feature_columns
    for position, column in enumerate(feature_columns):
        bottom = 0
        for name in column.feature_names:
            used = data.features[:, schema.feature_names.index(name)].any()
            is_plain = column.kind != "category"
            axes.bar(
                position,
                1,
                0.75,
                bottom,
                color=FILLS[3] if is_plain else FILLS[1],
                edgecolor=COLOURS[0],
                linewidth=0.7,
                hatch=None if used else "////",
            )
            bottom += 1
        axes.text(position, bottom + 0.08, str(bottom), ha="center", va="bottom")
    for title, colour, hatch in (
        ("standardised", FILLS[3], None),
        ("one input a level", FILLS[1], None),
        ("a level that this table never shows", FILLS[1], "////"),
    ):
        axes.bar(0, 0, color=colour, edgecolor=COLOURS[0], linewidth=0.7, hatch=hatch, label=title)
    axes.legend(loc="upper left")
    axes.set_xticks(
        range(len(feature_columns)), [column.name for column in feature_columns], rotation=30
    )
    axes.set_ylim(0, 6.2)
    label(axes, "column of the table", "inputs of the network (count)")
    return as_svg(
        figure,
        "The 13 columns with the number of inputs that each becomes: "
        + ", ".join(f"{column.name} {len(column.feature_names)}" for column in feature_columns),
    )


class Logistic(NamedTuple):
    """Coefficients of a network without hidden layers and of scikit-learn.

    Attributes:
        l2: the L2 penalty.
        network, reference: (n_features + 1,), coefficients and intercept of the network and of
            scikit-learn.
    """

    l2: float
    network: np.ndarray
    reference: np.ndarray


def compare_with_logistic(features: np.ndarray, labels: np.ndarray) -> list[Logistic]:
    """Fit a network without hidden layers and logistic regression, without and with a penalty.

    The network adds l2 · Σw² to the mean loss, and scikit-learn adds Σw² / 2C to the sum of the
    losses. Therefore C = 1 / (2 n l2).
    """
    penalties = (0.0, 1e-3)
    config = TrainingConfig(
        hidden=(),
        initial_weights="zeros",
        optimizer="nesterov",
        momentum=0.95,
        learning_rate=1.0,
        batch_size="all",
        epochs=3_000,
    )
    members = [MemberSpec(replace(config, l2=l2)) for l2 in penalties]
    ensemble = fit_ensemble(features, labels, members)
    comparisons = []
    for index, l2 in enumerate(penalties):
        inverse_penalty = 1 / (2 * len(labels) * l2) if l2 else np.inf
        regression = LogisticRegression(C=inverse_penalty, tol=1e-10, max_iter=100_000).fit(
            features, labels
        )
        kernel, bias = ensemble.weights(index)
        reference = np.append(regression.coef_[0], regression.intercept_)
        comparisons.append(Logistic(l2, np.append(kernel[:, 0], bias), reference))
    return comparisons


def logistic(data: LessonData) -> Lesson:
    """Return the lesson on logistic regression as a network without hidden layers."""
    comparisons = compare_with_logistic(data.features, data.labels)
    plain, penalised = (
        float(np.abs(comparison.network - comparison.reference).max()) for comparison in comparisons
    )
    n = len(comparisons[0].network)
    return Lesson(
        "logistic",
        "No hidden layer is logistic regression",
        _draw_logistic(comparisons),
        (
            "A sigmoid unit straight behind the inputs, trained on cross-entropy from zeros, comes "
            f"to the {n} numbers of scikit-learn's logistic regression: without a penalty the "
            f"largest difference of a coefficient or the intercept is {plain:.1e}, beside "
            f"coefficients of up to {np.abs(comparisons[0].reference).max():.2f}.",
            f"With the recipe's penalty of {comparisons[1].l2:g} a squared weight, which is C = "
            f"{1 / (2 * len(data.labels) * comparisons[1].l2):.2f} there, it is {penalised:.1e}; "
            "without one the full one-hot blocks leave more than one answer, and both programs "
            "give the same because both start at zero and move only along gradients.",
        ),
    )


@plot_style()
def _draw_logistic(comparisons: list[Logistic]) -> str:
    figure, axes = panels(2, height=3.1)
    for index, (ax, comparison) in enumerate(zip(axes, comparisons, strict=True)):
        ends = [float(comparison.reference.min()) - 0.1, float(comparison.reference.max()) + 0.1]
        ax.plot(ends, ends, color=COLOURS[5], linestyle="-", linewidth=1, label="equal")
        ax.plot(
            comparison.reference,
            comparison.network,
            MARKERS[index],
            color=COLOURS[index],
            label="a weight",
        )
        ax.legend()
        title = f"Penalty {comparison.l2:g}" if comparison.l2 else "No penalty"
        label(ax, "scikit-learn (log-odds)", "network (log-odds)", title)
    return as_svg(
        figure,
        "The weights of the network against those of logistic regression lie on the line "
        "of equality, without and with a penalty.",
    )
