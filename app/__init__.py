"""The HTTP service. Importing this package alone loads neither Flask nor the routes.

api_keys           API keys, their hashes and scopes
cloud_environment  environment variables of Vertex AI and SageMaker
settings           the service's environment variables
web/               requests, responses, errors, authentication, metrics, logging
models/            the loaded versions
routing            declarations of routes
service            the Flask application: authorization, errors, metrics, the fast path
openapi/           the OpenAPI document
api/               the service's own routes
protocols/         the routes of TensorFlow Serving, Open Inference and MLflow
page/              the documentation pages
factory            create_app, which registers all routes
server/            gunicorn's workers and the ASGI application
wsgi               the WSGI application that gunicorn runs

Each module imports only from those above it; import-linter checks that order.
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
