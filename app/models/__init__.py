"""The loaded versions of the model.

loaded_model     one verified version: validation, scoring, explanations, intervals
registry         the serving versions, reloaded when the store changes
load_overrides   versions loaded and unloaded over HTTP
response_writer  the JSON of predictions
"""

from app.models.load_overrides import LoadOverrides
from app.models.loaded_model import LoadedModel
from app.models.registry import ModelRegistry, RegistrySnapshot

__all__ = [
    "LoadOverrides",
    "LoadedModel",
    "ModelRegistry",
    "RegistrySnapshot",
]
