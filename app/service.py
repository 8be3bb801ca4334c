"""The service as a Flask application, with a fast path around Flask's dispatch for predictions.

Every request gets the same treatment: a request ID, authorization if keys are configured,
exceptions converted to error responses, response headers and metrics. Most routes are ordinary
Flask views. The handler of a fast-path route is called without Flask's dispatch, which takes longer
than reading, scoring and responding to a record together. The handler is also an ordinary view, and
a test compares the responses of the two paths.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response
from flask import request as flask_request
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.routing import BaseConverter

from app.models import ModelRegistry
from app.routing import Route
from app.settings import Settings
from app.web import (
    AUTHENTICATED,
    ENVIRON_KEY,
    ErrorResponse,
    Metrics,
    ServiceRequest,
    ServiceResponse,
    log_error,
    request_var,
    require,
    to_error_response,
)

StartResponse = Callable[..., Any]

SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
)
_STATUS_LINES = {code: f"{code} {phrase.upper()}" for code, phrase in HTTP_STATUS_CODES.items()}


class Service(Flask):
    """The WSGI application of the service.

    Args:
        settings: the settings of the process.
        fast_path: whether fast-path routes bypass Flask's dispatch.
    """

    def __init__(self, settings: Settings, *, fast_path: bool = True) -> None:
        super().__init__("app", static_folder=None, template_folder="page/templates")
        self.url_map.converters["segment"] = _SegmentConverter
        self.settings = settings
        self.metrics = Metrics()
        self.models = ModelRegistry(settings, self.metrics)
        self.keys = settings.keys
        self._fast_path = fast_path
        self._fast_path_routes: dict[tuple[str, str], Route] = {}
        self._routes: dict[str, Route] = {}  # by Flask's endpoint
        self.before_request(self._authorize)
        self.register_error_handler(Exception, self._handle_error)

    def add_route(self, route: Route) -> None:
        """Register a route as an ordinary view and, if declared, for the fast path."""

        def view(**placeholders: str) -> Response:
            return _to_flask_response(route.handler(self, current_request(), **placeholders))

        endpoint = f"{route.method} {route.path}"
        self.add_url_rule(route.path, endpoint, view, methods=[route.method])
        self._routes[endpoint] = route
        if route.fast_path and self._fast_path:
            self._fast_path_routes[route.method, route.path] = route

    @property
    def routes(self) -> list[Route]:
        """Every registered route, in the order of registration."""
        return list(self._routes.values())

    def uses_fast_path(self, method: str, path: str) -> bool:
        """Return whether a request bypasses Flask's dispatch."""
        return (method, path) in self._fast_path_routes

    def wsgi_app(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Respond to a request, on the fast path if its path has one."""
        if self.uses_fast_path(environ["REQUEST_METHOD"], environ["PATH_INFO"]):
            response = self.respond_fast(environ)
            start_response(_STATUS_LINES[response.status], list(response.headers))
            return (response.body,)
        request = environ[ENVIRON_KEY] = ServiceRequest(environ, self.settings.max_body_bytes)
        token = request_var.set(request)
        try:
            return super().wsgi_app(environ, self._wrap_start_response(request, start_response))
        finally:
            request_var.reset(token)
            # A reference cycle would keep the body until garbage collection.
            del environ[ENVIRON_KEY]

    def respond_fast(self, environ: dict[str, Any]) -> ServiceResponse:
        """Respond to a request for which :meth:`uses_fast_path` is true.

        Returns:
            the response with all of its headers.
        """
        route = self._fast_path_routes[environ["REQUEST_METHOD"], environ["PATH_INFO"]]
        request = ServiceRequest(environ, self.settings.max_body_bytes)
        request.route = route.path
        token = request_var.set(request)
        try:
            try:
                require(self.keys, request, route.scope)
                response = route.handler(self, request)
            except Exception as error:
                response = route.render_error(self._error_response(error))
            self._count_request(request, response.status)
        finally:
            request_var.reset(token)
        headers = (
            ("Content-Type", response.media_type),
            *response.headers,
            ("Content-Length", str(len(response.body))),
            *SECURITY_HEADERS,
            ("X-Request-ID", request.request_id),
        )
        return ServiceResponse(response.body, response.status, response.media_type, headers)

    def _authorize(self) -> None:
        """Authorize a request that Flask dispatches, unless no rule matches its path."""
        request = current_request()
        if flask_request.url_rule is None:
            return
        request.route = flask_request.url_rule.rule
        route = self._matched_route()
        require(self.keys, request, route.scope if route else AUTHENTICATED)

    def _matched_route(self) -> Route | None:
        """Return the matched route; None if no rule matched or the view is Flask's own."""
        return self._routes.get(flask_request.endpoint or "")

    def _handle_error(self, error: Exception) -> Response:
        route = self._matched_route()
        error_response = self._error_response(error)
        # For an unknown path, Flask stores the exception in the request. The exception refers to
        # its frames, and these to the request, whose body would live until garbage collection.
        error.__traceback__ = error.__context__ = None
        return _to_flask_response(
            route.render_error(error_response) if route else error_response.to_response()
        )

    def _error_response(self, error: Exception) -> ErrorResponse:
        response = to_error_response(error, max_body_bytes=self.settings.max_body_bytes)
        log_error(error, response)
        return response

    def _wrap_start_response(
        self, request: ServiceRequest, start_response: StartResponse
    ) -> StartResponse:
        """Return a ``start_response`` that adds the common headers and counts the request."""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            present = {name.lower() for name, _ in headers}
            headers += [pair for pair in SECURITY_HEADERS if pair[0].lower() not in present]
            headers.append(("X-Request-ID", request.request_id))
            self._count_request(request, int(status[:3]))
            return start_response(status, headers, exc_info)

        return start

    def _count_request(self, request: ServiceRequest, status: int) -> None:
        seconds = time.perf_counter() - request.started
        self.metrics.observe_request(request.route or "(none)", status, request.version, seconds)


def current_request() -> ServiceRequest:
    """Return the request that Flask is handling."""
    return flask_request.environ[ENVIRON_KEY]


class _SegmentConverter(BaseConverter):
    """A path segment that ends at a slash or before a verb, as in ``NAME:predict``."""

    regex = "[^/:]+"


def _to_flask_response(response: ServiceResponse) -> Response:
    """Convert a response to Flask's type."""
    flask_response = Response(response.body, response.status)
    flask_response.headers["Content-Type"] = response.media_type
    for name, value in response.headers:
        flask_response.headers[name] = value
    return flask_response
