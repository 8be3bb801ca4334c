"""The command line: ``python -m pipelines COMMAND``.

Commands that train import the rooms that need Keras only after the device was chosen, because a
Keras backend looks for its devices once, when it is first imported.
"""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from course.__main__ import foundations
from model.calibration import Asked
from model.errors import ModelError, NoCurrentVersion, StoreError
from model.evaluation import Evaluation
from model.schema import load_schema
from pipelines.cli import (
    choose_config,
    data_option,
    device_option,
    evaluate,
    hand_in,
    open_store,
    probability_options,
    schema_option,
    store_option,
    sweep,
    together,
    training_options,
)
from pipelines.devices import Device, select_device


class _Commands(click.Group):
    """Shows what this project refuses as a message, and everything else as what it is: a bug."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ModelError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:  # a folder that may not be written, a full disk
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands)
def main() -> None:
    """Train, evaluate and keep versions of a model."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for talkative in ("absl", "tensorflow", "tf2onnx"):
        logging.getLogger(talkative).setLevel(logging.ERROR)


@main.command()
@together(schema_option, training_options)
def describe(schema: Path, recipe: str | None, config: Path | None, **settings: Any) -> None:
    """Print the features, the layers and the number of parameters."""
    declared = load_schema(schema)
    chosen, _ = choose_config(recipe, config, settings)
    select_device("auto")
    hand_in(settings)
    from model.training import build_network, describe_layers

    network = build_network(chosen, len(declared.feature_names))
    click.echo(
        f"{declared.title}: {len(declared.columns)} columns, outcome {declared.outcome.rule}"
    )
    click.echo(f"\n{len(declared.feature_names)} features")
    kinds = {name: c.kind for c in declared.columns for name in c.feature_names}
    for number, name in enumerate(declared.feature_names, start=1):
        click.echo(
            f"{number:>4}  {name:<16}{'one-hot' if kinds[name] == 'category' else 'standardised'}"
        )
    click.echo("\nlayers")
    for layer in describe_layers(network):
        click.echo(
            f"      {layer['name']:<16}{layer['shape']!s:<10}{layer['params']:>6} parameters"
        )
    click.echo(f"\n{network.count_params()} parameters")


@main.command()
@together(
    schema_option, store_option, data_option, device_option, probability_options, training_options
)
@click.option("--if-needed", is_flag=True, help="Say nothing where nothing is to be done.")
def train(schema: Path, store: Path | None, if_needed: bool, **options: Any) -> None:
    """Train a first version; does nothing where one is current already."""
    try:
        version = open_store(store, load_schema(schema)).current().version
    except NoCurrentVersion:
        _retrain(schema, store, **options)
    else:
        if not if_needed:
            click.echo(f"version {version} is current already; make retrain trains another")


@main.command()
@together(
    schema_option, store_option, data_option, device_option, probability_options, training_options
)
def retrain(schema: Path, store: Path | None, **options: Any) -> None:
    """Train a new version beside the old, and make it current if it is not worse."""
    _retrain(schema, store, **options)


def _retrain(
    schema: Path, store: Path | None, data: Path, device: Device, recipe: str | None,
    config: Path | None, cost_ratio: float | None, calibration: Asked, **settings: Any,
) -> None:  # fmt: skip
    declared = load_schema(schema)
    chosen, name = choose_config(recipe, config, settings)
    named = select_device(device)
    hand_in(settings)
    from pipelines.training import Request, retrain

    command = shlex.join(["python", "-m", "pipelines", *sys.argv[1:]])
    request = Request(
        data, declared, chosen, name, named, command, cost_ratio=cost_ratio, calibration=calibration
    )
    retrain(request, open_store(store, declared))


main.add_command(evaluate)
main.add_command(sweep)
main.add_command(foundations)


@main.command()
@together(schema_option, store_option)
def versions(schema: Path, store: Path | None) -> None:
    """List the versions and what is known of each."""
    opened = open_store(store, load_schema(schema))
    try:
        current = opened.current().version
    except StoreError as error:
        click.echo(str(error))
        current = ""
    for version in opened.versions():
        mark = "*" if version == current else " "
        try:
            manifest = opened.read(version).manifest
        except ModelError as error:
            click.echo(f"{mark} {version:>3}  {error}")
            continue
        folds = msgspec.convert(manifest.metrics["folds"], Evaluation)
        loss = folds.figures[folds.model]["log_loss"].value
        click.echo(
            f"{mark} {version:>3}  {manifest.created}  {manifest.recipe:<18}"
            f"{manifest.data.file} ({manifest.data.rows} records)  log loss on folds {loss:.4f}"
        )


@main.command()
@click.argument("version")
@together(schema_option, store_option)
def promote(version: str, schema: Path, store: Path | None) -> None:
    """Make VERSION the current one, whatever was decided about it."""
    now = open_store(store, load_schema(schema)).promote(version)
    click.echo(f"version {now.version} is current")


@main.command()
@together(schema_option, store_option)
def rollback(schema: Path, store: Path | None) -> None:
    """Make the version current again that was so before."""
    now = open_store(store, load_schema(schema)).rollback()
    click.echo(f"version {now.version} is current")


if __name__ == "__main__":
    main(prog_name="python -m pipelines")
