"""HTTP, and nothing that HTTP does not need."""

from __future__ import annotations

from app.api import register_about, register_predictions
from app.openapi import register_openapi
from app.page import register_page
from app.protocols.mlflow import register_mlflow
from app.protocols.open_inference import register_open_inference
from app.protocols.tensorflow_serving import register_tensorflow_serving
from app.service import Service
from app.settings import Settings

__all__ = ["Service", "Settings", "create_app"]
