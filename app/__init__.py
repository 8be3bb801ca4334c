"""The HTTP service. Importing a module of this package loads neither Flask nor the routes.

api_keys, cloud_environment   leaves: the grammar of API keys, platform variables
settings                      environment variables
web/                          requests, responses, errors, authentication, metrics, logging
models/                       the loaded versions
service                       the Flask application with its guards
openapi/                      the OpenAPI document
api/                          the service's own routes
protocols/                    TensorFlow Serving, Open Inference, MLflow
page/                         pages for a browser
factory                       create_app: all of it together
server/                       gunicorn's workers, the ASGI application
wsgi                          what gunicorn runs

Each module imports only from those above it; import-linter holds that order.
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from app.factory import create_app as create_app
    from app.service import Service as Service
    from app.settings import Settings as Settings
else:
    __getattr__ = lazy_attributes(
        __name__, {"factory": ["create_app"], "service": ["Service"], "settings": ["Settings"]}
    )
