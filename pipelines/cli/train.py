"""The commands ``train`` and ``retrain``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from model.calibration import RequestedMethod
from model.errors import NoCurrentVersion
from model.schema import load_schema
from pipelines.cli.options import (
    choose_config,
    combine,
    data_option,
    device_option,
    open_store,
    probability_options,
    schema_option,
    store_option,
    training_options,
)
from pipelines.devices import Device, select_device


@click.command("train")
@combine(
    schema_option, store_option, data_option, device_option, probability_options, training_options
)
@click.option("--if-needed", is_flag=True, help="Exit silently if a model exists.")
def train_command(schema: Path, store: Path | None, if_needed: bool, **options: Any) -> None:
    """Train a first version; do nothing if there is a current one."""
    try:
        version = open_store(store, load_schema(schema)).current().version
    except NoCurrentVersion:
        _retrain(schema, store, **options)
    else:
        if not if_needed:
            click.echo(f"Version {version} is already current; run make retrain for a new one.")


@click.command("retrain")
@combine(
    schema_option, store_option, data_option, device_option, probability_options, training_options
)
def retrain_command(schema: Path, store: Path | None, **options: Any) -> None:
    """Train a new version and promote it unless it is worse than the current one."""
    _retrain(schema, store, **options)


def _retrain(
    schema: Path,
    store: Path | None,
    data: Path,
    device: Device,
    recipe: str | None,
    config: Path | None,
    cost_ratio: float | None,
    calibration: RequestedMethod,
    **settings: Any,
) -> None:
    table_schema = load_schema(schema)
    training_config, name = choose_config(recipe, config, settings)
    device_name = select_device(device)
    from pipelines.training import RetrainRequest, retrain_model

    command = shlex.join(["python", "-m", "pipelines", *sys.argv[1:]])
    request = RetrainRequest(
        data,
        table_schema,
        training_config,
        name,
        device_name,
        command,
        cost_ratio=cost_ratio,
        calibration=calibration,
    )
    retrain_model(request, open_store(store, table_schema))
