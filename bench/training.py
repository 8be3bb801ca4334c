"""``make bench-training``: many networks in one program, compared with calls of Keras's ``fit``.

Each installed Keras backend is measured in its own process. A round trains the whole ensemble and
fits a few networks one by one. The time of one ``fit`` per member is extrapolated from these few.

The bound is the time of the matrix products alone, at the rate of one large product on the same
device.
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
"""Size of the square matrices whose product measures the rate of the device."""


class Figures(msgspec.Struct):
    """The times of one backend in seconds; lists have one entry per round.

    Attributes:
        version: name and version of the backend.
        device: the device that it computed on.
        first: first training of the ensemble, with compilation.
        ensemble: later trainings of the ensemble.
        fit: building, compiling and fitting one network with Keras.
        refit: fitting one network that was already built and compiled, from its initial weights.
        bound: the matrix products alone.
    """

    version: str
    device: str
    first: float
    ensemble: list[float]
    fit: list[float]
    refit: list[float]
    bound: float


@click.command()
@click.option("--networks", default=1_000, show_default=True, help="Members of the ensemble.")
@click.option("--epochs", default=100, show_default=True, help="Epochs of each network.")
@click.option("--rounds", default=5, show_default=True, help="Number of rounds.")
@click.option("--fits", default=2, show_default=True, help="Calls of fit per round.")
@click.option("--backend", help="Measure only this backend, in this process, and print JSON.")
def main(networks: int, epochs: int, rounds: int, fits: int, backend: str | None) -> None:
    """Measure each installed backend and print a table."""
    if backend:
        figures = measure(networks, epochs, rounds, fits)
        click.echo(msgspec.json.encode(figures))
        return
    for line in describe_run("bench.training"):
        click.echo(f"    {line}")
    config = TrainingConfig()
    click.echo(
        f"\n{networks:,} networks of {n_parameters(config, N_FEATURES)} parameters, "
        f"{epochs} epochs, batches of {config.batch_size}. "
        f"Seconds, median and range of {rounds} rounds.\n"
    )
    header = (
        "backend",
        "one program",
        "first call with compilation",
        "one fit",
        "one fit of a compiled network",
        f"{networks:,} fits ÷ one program",
        f"{networks:,} fits, compiled once ÷ one program",
        "bound ÷ one program",
    )
    click.echo("| " + " | ".join(header) + " |\n" + "| --- " * len(header) + "|")
    for name in BACKENDS:
        if importlib.util.find_spec(name) is None:
            click.echo(f"| {name} | not installed |" + " |" * 6)
            continue
        click.echo(row(measure_in_subprocess(name), networks))


def measure_in_subprocess(backend: str) -> Figures:
    """Measure a backend in a process that loads no other."""
    completed = subprocess.run(
        [sys.executable, "-m", "bench.training", *sys.argv[1:], "--backend", backend],
        env={**os.environ, "KERAS_BACKEND": backend},
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.json.decode(completed.stdout.splitlines()[-1], type=Figures)


def row(figures: Figures, networks: int) -> str:
    """Return a line of the table; ratios are computed round by round."""
    fit_ratios, refit_ratios = (
        [networks * fit / ensemble for fit, ensemble in zip(fits, figures.ensemble, strict=True)]
        for fits in (figures.fit, figures.refit)
    )
    cells = (
        f"{figures.version}, {figures.device}",
        median_and_range(figures.ensemble),
        f"{figures.first:.2f}",
        median_and_range(figures.fit),
        median_and_range(figures.refit),
        median_and_range(fit_ratios, 0),
        median_and_range(refit_ratios, 0),
        f"{figures.bound / statistics.median(figures.ensemble):.0%}",
    )
    return "| " + " | ".join(cells) + " |"


def measure(networks: int, epochs: int, rounds: int, fits: int) -> Figures:
    """Measure the ensemble and single fits in alternation, on the bundled table's features."""
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

    def build_and_fit() -> None:
        for config in configs[:fits]:
            fit(build_network(config, features.shape[1]))

    compiled = build_network(configs[0], features.shape[1])
    weights = compiled.get_weights()

    def refit() -> None:
        for _ in range(fits):
            compiled.set_weights(weights)
            fit(compiled)

    def train_ensemble() -> None:
        fit_ensemble(features, labels, members)

    first = seconds(train_ensemble)
    fit(compiled)  # the first call traces and compiles
    times = [
        (seconds(train_ensemble), seconds(build_and_fit) / fits, seconds(refit) / fits)
        for _ in range(rounds)
    ]
    return Figures(
        version=f"{keras.config.backend()} {importlib.metadata.version(keras.config.backend())}",
        device=device,
        first=first,
        ensemble=[ensemble for ensemble, _, _ in times],
        fit=[single_fit for _, single_fit, _ in times],
        refit=[single_refit for _, _, single_refit in times],
        bound=networks * epochs * len(labels) * flop(configs[0], features.shape[1]) / rate(),
    )


def flop(config: TrainingConfig, n_features: int) -> int:
    """Return the FLOP of the matrix products for one record.

    Forward pass, gradients of the kernels, and gradients of the hidden layers.
    """
    widths = [n_features, *config.hidden, 1]
    products = [n * units for n, units in itertools.pairwise(widths)]
    return 2 * (2 * sum(products) + sum(products[1:]))


def rate() -> float:
    """Return the FLOP per second of a large single-precision matrix product on the device."""
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
    """Return the duration of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
