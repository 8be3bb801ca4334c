"""The command ``evaluate``: cross-validation against baselines, and external validation."""

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
    open_store,
    schema_option,
    store_option,
    training_options,
)
from pipelines.devices import Device, select_device


@click.command("evaluate")
@combine(schema_option, store_option, data_option, device_option, training_options)
@click.option(
    "--repeats",
    type=click.IntRange(1, 100),
    default=10,
    show_default=True,
    help="Repeats of 10-fold cross-validation, for each of two seeds.",
)
@external_option
@click.option(
    "--all-baselines", is_flag=True, help="Include the slow baselines, which take minutes."
)
def evaluate_command(
    schema: Path,
    store: Path | None,
    data: Path,
    device: Device,
    repeats: int,
    external: Path | None,
    all_baselines: bool,
    recipe: str | None,
    config: Path | None,
    **settings: Any,
) -> None:
    """Cross-validate a recipe and compare it with baselines.

    Without a recipe or settings, evaluate those of the current version. The results are saved with
    the current version if it was trained with the same settings on the same table.

    With --external, evaluate on the records of another site instead: the current version or, if a
    recipe or settings are given, that recipe fitted on the whole training table.
    """
    table_schema = load_schema(schema)
    opened_store = open_store(store, table_schema)
    try:
        artifact = opened_store.read(
            opened_store.current().version, fingerprint=table_schema.fingerprint
        )
    except NoCurrentVersion:
        artifact = None
    use_version = not (recipe or config or any(v is not None for v in settings.values()))
    if artifact and use_version:
        training_config, name = _config(artifact), artifact.manifest.recipe
    else:
        training_config, name = choose_config(recipe, config, settings)
    select_device(device)
    from pipelines.cli.tables import evaluation_table, external_validation_table
    from pipelines.data import read_table
    from pipelines.evaluation import SECOND_SEED, SEED, cross_validation

    if external:
        from pipelines.data import read_external_table
        from pipelines.evaluation import validate_recipe, validate_version

        external_data = read_external_table(external, table_schema)
        if artifact and use_version:
            validation = validate_version(external_data, artifact)
        else:
            table = read_table(data, table_schema)
            validation = validate_recipe(external_data, table, training_config, name=name)
        click.echo(external_validation_table(validation))
        return
    table = read_table(data, table_schema)
    results = {}
    for key, seed in (("evaluation", SEED), ("evaluation_second_seed", SECOND_SEED)):
        evaluation = cross_validation.evaluate_with_baselines(
            table,
            training_config,
            name=name,
            seed=seed,
            n_repeats=repeats,
            slow=all_baselines,
        )
        click.echo(evaluation_table(evaluation) + "\n")
        results[key] = msgspec.to_builtins(evaluation)
    same_config = artifact is not None and _config(artifact) == training_config
    if artifact and same_config and artifact.manifest.data.sha256 == table.sha256:
        opened_store.add_metrics(artifact.manifest.version, results)
        click.echo(f"Saved the results with version {artifact.manifest.version}.")
    elif artifact:
        click.echo(
            f"The results were not saved: version {artifact.manifest.version} has other settings "
            "or another table."
        )
    else:
        click.echo("The results were not saved: there is no current version.")


def _config(artifact: Artifact) -> TrainingConfig:
    return msgspec.convert(artifact.manifest.training, TrainingConfig)
