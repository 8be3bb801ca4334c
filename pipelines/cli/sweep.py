"""The command ``sweep``: hyperparameter search by nested cross-validation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from model.schema import load_schema
from model.training import RECIPES
from pipelines.cli.options import (
    choose_config,
    combine,
    data_option,
    device_option,
    schema_option,
    training_options,
)
from pipelines.devices import Device, select_device
from pipelines.tuning import candidate_configs, parse_search_dimension

DEFAULT_SEARCH = ("hidden=1,2,4,8,16,32,64,128", "epochs=5,10,20,30,50,70,100,150,200")
"""Search space without --try: hidden units and epochs of the recipe textbook."""


@click.command("sweep")
@combine(schema_option, data_option, device_option, training_options)
@click.option(
    "--try",
    "dimensions",
    multiple=True,
    metavar="NAME=A,B,C|LOW..HIGH",
    help="Values or range of one setting; repeat the option for several settings.  "
    "[default: hidden units and epochs of the recipe textbook]",
)
@click.option(
    "--sample",
    type=click.IntRange(1, 100_000),
    help="Number of combinations to draw at random.  [default: try all combinations]",
)
@click.option(
    "--for-each",
    help="Setting whose values are compared; the other settings are selected for each value.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Repeats of the ten outer folds.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("sweep.html"),
    show_default=True,
    help="HTML file to write the results to.",
)
def sweep_command(
    schema: Path,
    data: Path,
    device: Device,
    dimensions: tuple[str, ...],
    sample: int | None,
    for_each: str | None,
    repeats: int,
    output: Path,
    recipe: str | None,
    config: Path | None,
    **settings: Any,
) -> None:
    """Search hyperparameters by nested cross-validation.

    The reported loss of a selection rule is that of patients whom the selection has not seen. Write
    hidden layers as in hidden=none,8,16x8.
    """
    if dimensions:
        base_config, name = choose_config(recipe, config, settings)
    else:
        dimensions, for_each = DEFAULT_SEARCH, for_each or "hidden"
        base_config, name = choose_config(recipe or "textbook", config, settings)
    search_space = dict(parse_search_dimension(dimension) for dimension in dimensions)
    if for_each is not None:
        for_each = for_each.replace("-", "_")
        if for_each not in search_space:
            raise click.BadParameter(
                f"{for_each} is not in the search space; add --try {for_each}=...",
                param_hint="--for-each",
            )
    configs = candidate_configs(base_config, search_space, n_samples=sample)
    table_schema = load_schema(schema)
    device_name = select_device(device)
    from pipelines.data import read_table
    from pipelines.evaluation import SEED
    from pipelines.tuning import (
        count_networks,
        format_report,
        render_report,
        run_nested_cv,
        summarise,
    )

    table = read_table(data, table_schema)
    total = count_networks(len(configs), repeats)
    with tqdm(total=total, desc=f"networks on {device_name}", disable=None, file=sys.stderr) as bar:
        nested_cv = run_nested_cv(
            table, configs, seed=SEED, n_repeats=repeats, on_progress=bar.update
        )
    report = summarise(nested_cv, table, list(search_space), for_each, seed=SEED)
    click.echo(format_report(report))
    output.write_text(
        render_report(report, table.schema.title, name, RECIPES.get(name) == base_config),
        encoding="utf-8",
    )
    click.echo(f"\nSaved the results with a plot to {output}.")
