"""The command line: ``python -m pipelines COMMAND``.

options   shared options
train     train and retrain
versions  describe, versions, promote, rollback
evaluate  evaluate
sweep     sweep
tables    results as text
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from pipelines.cli.evaluate import evaluate as evaluate
    from pipelines.cli.options import DATA as DATA
    from pipelines.cli.options import SCHEMA as SCHEMA
    from pipelines.cli.options import choose_config as choose_config
    from pipelines.cli.options import data_option as data_option
    from pipelines.cli.options import device_option as device_option
    from pipelines.cli.options import hand_in as hand_in
    from pipelines.cli.options import open_store as open_store
    from pipelines.cli.options import probability_options as probability_options
    from pipelines.cli.options import schema_option as schema_option
    from pipelines.cli.options import store_option as store_option
    from pipelines.cli.options import together as together
    from pipelines.cli.options import training_options as training_options
    from pipelines.cli.sweep import sweep as sweep
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "evaluate": ("evaluate",),
            "options": (
                "DATA",
                "SCHEMA",
                "choose_config",
                "data_option",
                "device_option",
                "hand_in",
                "open_store",
                "probability_options",
                "schema_option",
                "store_option",
                "together",
                "training_options",
            ),
            "sweep": ("sweep",),
        },
    )
