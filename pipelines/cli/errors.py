"""Errors of a command as messages without a traceback."""

from __future__ import annotations

from typing import Any

import click

from model.errors import ModelError


class ErrorReportingCommand(click.Command):
    """A command that shows expected errors as a message. Any other exception is a bug."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Raises:
            click.ClickException: the command raised a ``ModelError``, or an ``OSError`` such as a
                folder without write permission or a full disk.
        """
        try:
            return super().invoke(ctx)
        except (ModelError, OSError) as error:
            raise click.ClickException(str(error)) from error


class ErrorReportingGroup(ErrorReportingCommand, click.Group):
    """A group of commands that shows expected errors as a message."""
