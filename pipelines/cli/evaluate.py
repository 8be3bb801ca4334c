"""The command ``evaluate``: a recipe beside other kinds of model, printed and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from model.artifacts import Artifact
from model.errors import NoCurrentVersion
from model.schema import load_schema
from model.training import TrainingConfig
from pipelines.cli.options import (
    choose_config,
    combine,
    data_option,
    device_option,
    external_option,
    import_custom_activation,
    open_store,
    schema_option,
    store_option,
    training_options,
)
from pipelines.devices import Device, select_device


@click.command("evaluate")
@combine(schema_option, store_option, data_option, device_option, training_options)
@click.option("--repeats", type=click.IntRange(1, 100), default=10, show_default=True)
@external_option
@click.option("--all-baselines", is_flag=True, help="The slow ones too; takes minutes.")
def evaluate_command(
    schema: Path, store: Path | None, data: Path, device: Device, repeats: int,
    external: Path | None, all_baselines: bool, recipe: str | None, config: Path | None, **settings: Any,
) -> None:  # fmt: skip
    """Ten times ten folds on two seeds, beside other kinds of model.

    Without a recipe or settings it takes those of the current version. The results are written
    into the current version if they are about its recipe and its table.

    With --external it is the current version itself, or the recipe fitted on the whole table, that
    answers the records of another site.
    """
    declared = load_schema(schema)
    opened = open_store(store, declared)
    try:
        artifact = opened.read(opened.current().version, fingerprint=declared.fingerprint)
    except NoCurrentVersion:
        artifact = None
    of_version = not (recipe or config or any(v is not None for v in settings.values()))
    if artifact and of_version:
        chosen, name = _config(artifact), artifact.manifest.recipe
    else:
        chosen, name = choose_config(recipe, config, settings)
    select_device(device)
    import_custom_activation(settings)
    from pipelines.cli import tables
    from pipelines.data import read_table
    from pipelines.evaluation import SECOND_SEED, SEED, cross_validation

    if external:
        from pipelines.cli.tables import external_validation_table
        from pipelines.data import read_external_table
        from pipelines.evaluation import validate_recipe, validate_version

        external_data = read_external_table(external, declared)
        if artifact and of_version:
            elsewhere = validate_version(external_data, artifact)
        else:
            elsewhere = validate_recipe(
                external_data, read_table(data, declared), chosen, name=name
            )
        click.echo(external_validation_table(elsewhere))
        return
    table = read_table(data, declared)
    results = {}
    for key, seed in (("evaluation", SEED), ("evaluation_second_seed", SECOND_SEED)):  # fmt: skip
        found = cross_validation.evaluate_with_baselines(
            table,
            chosen,
            name=name,
            seed=seed,
            n_repeats=repeats,
            slow=all_baselines,
        )
        click.echo(tables.evaluation_table(found) + "\n")
        results[key] = msgspec.to_builtins(found)
    if artifact and _config(artifact) == chosen and artifact.manifest.data.sha256 == table.sha256:
        opened.add_metrics(artifact.manifest.version, results)
        click.echo(f"written into version {artifact.manifest.version}")
    else:
        click.echo("not written into the current version: it has another recipe or table")


def _config(artifact: Artifact) -> TrainingConfig:
    return msgspec.convert(artifact.manifest.training, TrainingConfig)
