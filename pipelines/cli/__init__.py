"""The command line: ``python -m pipelines COMMAND``.

options    options that several commands share
errors     expected errors as messages
train      train, retrain
evaluate   evaluate
sweep      sweep
versions   describe, versions, promote, rollback
tables     results as text for a terminal

Commands that train import Keras only after the device is selected, because a Keras backend looks
for its devices once, when it is first imported.
"""

from __future__ import annotations

import logging
import sys

import click

from pipelines.cli.errors import ErrorReportingGroup
from pipelines.cli.evaluate import evaluate_command
from pipelines.cli.sweep import sweep_command
from pipelines.cli.train import retrain_command, train_command
from pipelines.cli.versions import (
    describe_command,
    promote_command,
    rollback_command,
    versions_command,
)


@click.group(cls=ErrorReportingGroup)
def main() -> None:
    """Train and evaluate a model, and manage its versions."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for verbose_library in ("absl", "tensorflow"):
        logging.getLogger(verbose_library).setLevel(logging.ERROR)


for _command in (
    describe_command,
    train_command,
    retrain_command,
    evaluate_command,
    sweep_command,
    versions_command,
    promote_command,
    rollback_command,
):
    main.add_command(_command)
