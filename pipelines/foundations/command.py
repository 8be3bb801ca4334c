"""The command that writes the page: ``python -m pipelines foundations``."""

from __future__ import annotations

from pathlib import Path

import click

from model.schema import load_schema
from pipelines.devices import Device, select_device
from pipelines.options import data_option, device_option, schema_option, together


@click.command()
@together(schema_option, data_option, device_option)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("docs/foundations.html"),
    show_default=True,
    help="The page to write.",
)
def foundations(schema: Path, data: Path, device: Device, output: Path) -> None:
    """Write a page that shows the foundations of networks, from runs of our own parts."""
    declared = load_schema(schema)
    select_device(device)
    from pipelines.foundations.writing import write_page
    from pipelines.tables import read_table

    page = write_page(read_table(data, declared))
    output.write_text(page, encoding="utf-8")
    click.echo(f"wrote {output} ({len(page.encode()) / 1000:.0f} kB)")
