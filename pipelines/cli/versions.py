"""The commands about versions: ``describe``, ``versions``, ``promote`` and ``rollback``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from model.errors import ModelError, StoreError
from model.evaluation import ModelComparison
from model.schema import load_schema
from pipelines.cli.options import (
    choose_config,
    combine,
    import_custom_activation,
    open_store,
    schema_option,
    store_option,
    training_options,
)
from pipelines.devices import select_device


@click.command("describe")
@combine(schema_option, training_options)
def describe_command(
    schema: Path, recipe: str | None, config: Path | None, **settings: Any
) -> None:
    """Print the features, the layers and the number of parameters."""
    declared = load_schema(schema)
    chosen, _ = choose_config(recipe, config, settings)
    select_device("auto")
    import_custom_activation(settings)
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


@click.command("versions")
@combine(schema_option, store_option)
def versions_command(schema: Path, store: Path | None) -> None:
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
        folds = msgspec.convert(manifest.metrics["folds"], ModelComparison)
        loss = folds.estimates[folds.model]["log_loss"].value
        click.echo(
            f"{mark} {version:>3}  {manifest.created}  {manifest.recipe:<18}"
            f"{manifest.data.file} ({manifest.data.rows} records)  log loss on folds {loss:.4f}"
        )


@click.command("promote")
@click.argument("version")
@combine(schema_option, store_option)
def promote_command(version: str, schema: Path, store: Path | None) -> None:
    """Make VERSION the current one, whatever was decided about it."""
    now = open_store(store, load_schema(schema)).promote(version)
    click.echo(f"version {now.version} is current")


@click.command("rollback")
@combine(schema_option, store_option)
def rollback_command(schema: Path, store: Path | None) -> None:
    """Make the version current again that was so before."""
    now = open_store(store, load_schema(schema)).rollback()
    click.echo(f"version {now.version} is current")
