"""The loaded versions of the model.

loaded_model     one verified version
registry         the versions that serve, reloaded when the store changes
load_overrides   versions loaded and unloaded over HTTP
response_writer  the JSON of a prediction
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
