"""The loaded versions of the model.

loaded_model      one verified version: validation, scoring, explanations, intervals
documented_model  example records of a version and its responses to them
registry          the serving versions, reloaded when the store changes
load_overrides    versions loaded and unloaded over HTTP
response_writer   the JSON of predictions
"""

from app.models.documented_model import DocumentedModel, example_record, example_value
from app.models.load_overrides import LoadOverrides
from app.models.loaded_model import LoadedModel
from app.models.registry import ModelRegistry, RegistrySnapshot

__all__ = [
    "DocumentedModel",
    "LoadOverrides",
    "LoadedModel",
    "ModelRegistry",
    "RegistrySnapshot",
    "example_record",
    "example_value",
]
