"""``make bench-training``: many networks in one program beside as many calls of Keras's ``fit``.

Every Keras backend that is installed is measured in a process of its own. In each round the
ensemble is trained whole, and a few networks are fitted one by one; what as many calls of ``fit`` as
the ensemble has members would take is extrapolated from those few.

The bound is what the products of matrices alone would take, at the rate of one large product on
the same cores.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import click
import msgspec
import numpy as np

from bench.machine import describe_run
from bench.results import median_and_range
from model.training import TrainingConfig, n_parameters
from pipelines.cli.options import DEFAULT_DATA, DEFAULT_SCHEMA
from pipelines.devices import select_device

BACKENDS = ("tensorflow", "jax", "torch")
N_FEATURES = 29
SIDE = 2_048
"""Of the square matrices whose product tells what the cores can do."""


class Figures(msgspec.Struct):
    """What one backend took, in seconds; lists have one entry a round.

    Attributes:
        version: of the backend.
        device: what it computed on.
        first: the ensemble's first call, with compiling.
        ensemble: the calls after it.
        fit: one network built, compiled and fitted by Keras.
        refit: one network fitted again that was built and compiled before, with other weights.
        bound: the products of matrices alone.
    """

    version: str
    device: str
    first: float
    ensemble: list[float]
    fit: list[float]
    refit: list[float]
    bound: float


@click.command()
@click.option("--networks", default=1_000, show_default=True)
@click.option("--epochs", default=100, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--fits", default=2, show_default=True, help="Calls of fit a round.")
@click.option("--backend", help="Measure this one, in this process, and print JSON.")
def main(networks: int, epochs: int, rounds: int, fits: int, backend: str | None) -> None:
    """Measure every installed backend, and print a table."""
    if backend:
        figures = measure(networks, epochs, rounds, fits)
        click.echo(msgspec.json.encode(figures))
        return
    for line in describe_run("bench.training"):
        click.echo(f"    {line}")
    click.echo(
        f"\n{networks:,} networks of {n_parameters(TrainingConfig(), N_FEATURES)} parameters, {epochs} epochs, "
        f"batches of {TrainingConfig().batch_size}; seconds, median and range of {rounds} rounds\n"
    )
    click.echo(
        "| backend | one program | its first call | fit, each | fit of a compiled network, each "
        f"| {networks:,} calls of fit ÷ one program | the same, compiled once "
        "| share of the bound |\n" + "| --- " * 8 + "|"
    )
    for name in BACKENDS:
        if importlib.util.find_spec(name) is None:
            click.echo(f"| {name} | not installed |" + " |" * 6)
            continue
        click.echo(row(measure_in_subprocess(name), networks))


def measure_in_subprocess(backend: str) -> Figures:
    """Measure a backend where no other is loaded."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.training", *sys.argv[1:], "--backend", backend],
        env={**os.environ, "KERAS_BACKEND": backend},
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Figures)


def row(figures: Figures, networks: int) -> str:
    """A line of the table; ratios are taken round by round."""
    ratios, compiled = (
        [networks * one / whole for one, whole in zip(each, figures.ensemble, strict=True)]
        for each in (figures.fit, figures.refit)
    )
    cells = (
        f"{figures.version}, {figures.device}",
        median_and_range(figures.ensemble),
        f"{figures.first:.2f}",
        median_and_range(figures.fit),
        median_and_range(figures.refit),
        median_and_range(ratios, 0),
        median_and_range(compiled, 0),
        f"{figures.bound / statistics.median(figures.ensemble):.0%}",
    )
    return "| " + " | ".join(cells) + " |"


def measure(networks: int, epochs: int, rounds: int, fits: int) -> Figures:
    """Ensemble and lone fits by turns, on the bundled table's features."""
    device = select_device("auto")  # before Keras is imported
    import keras

    from model.schema import load_schema
    from model.training import build_network
    from model.training.ensemble import MemberSpec, fit_ensemble
    from pipelines.data import build_preprocessing, read_table

    table = read_table(DEFAULT_DATA, load_schema(DEFAULT_SCHEMA))
    features = build_preprocessing(table.schema).fit_transform(table.frame).astype(np.float32)
    labels = table.labels.astype(np.float32)
    configs = [TrainingConfig(seed=seed, epochs=epochs) for seed in range(max(networks, 2))]
    members = [MemberSpec(config) for config in configs[:networks]]

    def fit(network: keras.Model) -> None:
        network.fit(features, labels[:, None], batch_size=32, epochs=epochs, verbose=0)

    def fresh() -> None:
        for config in configs[:fits]:
            fit(build_network(config, features.shape[1]))

    compiled = build_network(configs[0], features.shape[1])
    weights = compiled.get_weights()

    def again() -> None:
        for _ in range(fits):
            compiled.set_weights(weights)
            fit(compiled)

    def ensemble() -> None:
        fit_ensemble(features, labels, members)

    first = seconds(ensemble)
    fit(compiled)
    turns = [
        (seconds(ensemble), seconds(fresh) / fits, seconds(again) / fits) for _ in range(rounds)
    ]
    return Figures(
        version=f"{keras.config.backend()} {importlib.metadata.version(keras.config.backend())}",
        device=device,
        first=first,
        ensemble=[whole for whole, _, _ in turns],
        fit=[each for _, each, _ in turns],
        refit=[each for _, _, each in turns],
        bound=networks * epochs * len(labels) * flop(configs[0], features.shape[1]) / rate(),
    )


def flop(config: TrainingConfig, n_features: int) -> int:
    """Of the products of matrices for one record: forward, and back to every kernel and layer."""
    widths = [n_features, *config.hidden, 1]
    products = [n * units for n, units in itertools.pairwise(widths)]
    return 2 * (2 * sum(products) + sum(products[1:]))


def rate() -> float:
    """FLOP a second of a large product of matrices in single precision, on the backend's device."""
    import keras

    from model.training.ensemble import compile_function

    square = keras.ops.convert_to_tensor(
        np.random.default_rng(0).normal(size=(SIDE, SIDE)).astype(np.float32)
    )
    product = compile_function(keras.ops.matmul)
    times = [
        seconds(lambda: keras.ops.convert_to_numpy(product(square, square)[:1])) for _ in range(7)
    ]
    return 2 * SIDE**3 / min(times)


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
