"""HTTP, and nothing that HTTP does not need."""

from __future__ import annotations

from flask import Flask

from app.current import CurrentModel
from app.errors import register_errors
from app.predictions import routes
from app.settings import Settings

__all__ = ["Settings", "create_app"]


def create_app(settings: Settings | None = None) -> Flask:
    """The service as a WSGI application.

    Nothing is loaded yet: a server calls ``app.extensions["current_model"].start()`` in each
    worker after the fork, and otherwise the first request does.

    Args:
        settings: read from the environment unless given.
    """
    settings = settings or Settings.from_environment()
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.extensions["current_model"] = CurrentModel(settings)
    app.register_blueprint(routes)
    register_errors(app)
    return app
