"""The commands ``describe``, ``versions``, ``promote`` and ``rollback``."""

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
    """Print the features, the layers and the number of parameters of the network."""
    table_schema = load_schema(schema)
    training_config, _ = choose_config(recipe, config, settings)
    select_device("auto")
    from model.training import build_network, describe_layers

    network = build_network(training_config, len(table_schema.feature_names))
    n_columns, outcome = len(table_schema.columns), table_schema.outcome
    click.echo(f"{table_schema.title}: {n_columns} columns, outcome {outcome.rule}")
    click.echo(f"\n{len(table_schema.feature_names)} features")
    kinds = {name: c.kind for c in table_schema.columns for name in c.feature_names}
    for number, name in enumerate(table_schema.feature_names, start=1):
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
    """List the versions; a star marks the current one."""
    opened_store = open_store(store, load_schema(schema))
    try:
        current_version = opened_store.current().version
    except StoreError as error:
        click.echo(str(error))
        current_version = ""
    for version in opened_store.versions():
        mark = "*" if version == current_version else " "
        try:
            manifest = opened_store.read(version).manifest
        except ModelError as error:
            click.echo(f"{mark} {version:>3}  {error}")
            continue
        folds = msgspec.convert(manifest.metrics["folds"], ModelComparison)
        loss = folds.estimates[folds.model]["log_loss"].value
        click.echo(
            f"{mark} {version:>3}  {manifest.created}  {manifest.recipe:<18}"
            f"{manifest.data.file} ({manifest.data.rows} records)  "
            f"cross-validated log loss {loss:.4f}"
        )


@click.command("promote")
@click.argument("version")
@combine(schema_option, store_option)
def promote_command(version: str, schema: Path, store: Path | None) -> None:
    """Make VERSION current, even if training did not promote it."""
    artifact = open_store(store, load_schema(schema)).promote(version)
    click.echo(f"Version {artifact.version} is now current.")


@click.command("rollback")
@combine(schema_option, store_option)
def rollback_command(schema: Path, store: Path | None) -> None:
    """Roll back to the previous version."""
    artifact = open_store(store, load_schema(schema)).rollback()
    click.echo(f"Version {artifact.version} is now current.")
