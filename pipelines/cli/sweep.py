"""The command ``sweep``: try settings, choose among them honestly, and show what was found."""

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
    import_custom_activation,
    schema_option,
    training_options,
)
from pipelines.devices import Device, select_device
from pipelines.tuning import candidate_configs, parse_search_dimension

DEFAULT_SEARCH = ("hidden=1,2,4,8,16,32,64,128", "epochs=5,10,20,30,50,70,100,150,200")
"""How many hidden units, and trained for how long: asked of the textbook recipe where nothing is."""


@click.command("sweep")
@combine(schema_option, data_option, device_option, training_options)
@click.option("--try", "tried", multiple=True, metavar="NAME=A,B,C|LOW..HIGH", help="Values of a setting; several times for several settings.  [default: the course's question about hidden units and epochs]")  # fmt: skip
@click.option("--sample", type=click.IntRange(1, 100_000), help="Draw so many combinations at random instead of trying all.")  # fmt: skip
@click.option("--for-each", help="A setting for each of whose values the others are chosen apart.")
@click.option("--repeats", type=click.IntRange(1, 100), default=1, show_default=True, help="Of the ten outer folds.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("sweep.html"), show_default=True, help="The page with the plot.")  # fmt: skip
def sweep_command(
    schema: Path, data: Path, device: Device, tried: tuple[str, ...], sample: int | None,
    for_each: str | None, repeats: int, output: Path, recipe: str | None, config: Path | None,
    **settings: Any,
) -> None:  # fmt: skip
    """Try combinations of settings in folds within folds.

    The loss that is reported for the way of choosing is that of patients whom the choice has not
    seen. Layers are written as in hidden=none,8,16x8.
    """
    if tried:
        start, name = choose_config(recipe, config, settings)
    else:
        tried, for_each = DEFAULT_SEARCH, for_each or "hidden"
        start, name = choose_config(recipe or "textbook", config, settings)
    values = dict(parse_search_dimension(one) for one in tried)
    if for_each is not None:
        for_each = for_each.replace("-", "_")
        if for_each not in values:
            raise click.BadParameter(f"{for_each} is not tried", param_hint="--for-each")
    configs = candidate_configs(start, values, n_samples=sample)
    declared = load_schema(schema)
    named = select_device(device)
    import_custom_activation(settings)
    from pipelines.data import read_table
    from pipelines.evaluation import SEED
    from pipelines.tuning import (
        count_networks,
        format_report,
        render_report,
        run_nested_cv,
        summarise,
    )

    table = read_table(data, declared)
    total = count_networks(len(configs), repeats)
    with tqdm(total=total, desc=f"networks on {named}", disable=None, file=sys.stderr) as bar:
        found = run_nested_cv(table, configs, seed=SEED, n_repeats=repeats, on_progress=bar.update)
    report = summarise(found, table, list(values), for_each, seed=SEED)
    click.echo(format_report(report))
    output.write_text(
        render_report(report, table.schema.title, name, RECIPES.get(name) == start),
        encoding="utf-8",
    )
    click.echo(f"\nwritten to {output}")
