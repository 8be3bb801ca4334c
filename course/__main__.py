"""The command that writes the page: ``python -m course``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from model.schema import load_schema
from pipelines.cli.options import DEFAULT_DATA, DEFAULT_SCHEMA, device_option
from pipelines.devices import Device, select_device


@click.command()
@device_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("docs/foundations.html"),
    show_default=True,
    help="The page to write.",
)
def foundations(device: Device, output: Path) -> None:
    """Write a page that shows the foundations of networks, from runs of our own parts.

    It is about the bundled table, whose columns its sentences name.
    """
    # A backend reads it when it is imported; without it JAX computes in float32 whatever is asked.
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    select_device(device)
    from course.foundations import build_page
    from pipelines.data import read_table

    page = build_page(read_table(DEFAULT_DATA, load_schema(DEFAULT_SCHEMA)))
    output.write_text(page, encoding="utf-8")
    click.echo(f"wrote {output} ({len(page.encode()) / 1000:.0f} kB)")


if __name__ == "__main__":
    foundations(prog_name="python -m course")
