"""The command that writes the lessons: ``python -m course``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from model.schema import load_schema
from pipelines.cli.errors import ErrorReportingCommand
from pipelines.cli.options import DEFAULT_DATA, DEFAULT_SCHEMA, device_option
from pipelines.devices import Device, select_device


@click.command(cls=ErrorReportingCommand)
@device_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("docs/foundations.html"),
    show_default=True,
    help="File to write.",
)
def foundations(device: Device, output: Path) -> None:
    """Write the lessons on neural networks as one HTML page.

    The figures and numbers come from runs on the bundled table, in one to three minutes.
    """
    # JAX reads the variable when it is imported, and computes in float32 without it.
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    select_device(device)
    from course.foundations import build_page  # imports Keras, after the device was selected
    from pipelines.data import read_table

    page = build_page(read_table(DEFAULT_DATA, load_schema(DEFAULT_SCHEMA)))
    output.write_text(page, encoding="utf-8")
    click.echo(f"Wrote {output} ({len(page.encode()) / 1000:.0f} kB).")


if __name__ == "__main__":
    foundations(prog_name="python -m course")
