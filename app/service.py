"""The service as a Flask application, with a fast path around Flask's dispatch for predictions.

Every request gets the same treatment: a request ID, authorization if keys are configured,
exceptions converted to error responses, response headers and metrics. Most routes are ordinary
Flask views. A handler registered as a fast-path route is called without Flask's dispatch, which
takes longer than reading, scoring and responding to a record together. The handler is also an
ordinary view, and a test compares the responses of the two paths.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from flask import Flask, Response
from flask import request as flask_request
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.routing import BaseConverter

from app.models import ModelRegistry
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

Handler = Callable[..., ServiceResponse]
ErrorRenderer = Callable[[ErrorResponse], ServiceResponse]
StartResponse = Callable[..., Any]

SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
)
# Flask adds HEAD to every rule with GET, and OPTIONS to every rule.
_AUTOMATIC_METHODS = {"HEAD", "OPTIONS"}
_STATUS_LINES = {code: f"{code} {phrase.upper()}" for code, phrase in HTTP_STATUS_CODES.items()}


class Route(NamedTuple):
    """A method of a path, and its handler.

    Attributes:
        rule: the path in Flask notation, such as ``/problems/<code>``.
        handler: the function that responds; its docstring is the summary of the route.
        scope: the scope that an API key needs.
        render_error: the error renderer of the protocol that the path belongs to.
    """

    method: str
    rule: str
    handler: Handler
    scope: str
    render_error: ErrorRenderer


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
        self._fast_path_routes: dict[tuple[str, str], tuple[Handler, str]] = {}
        self._platform_paths = {("GET", settings.health_route), ("POST", settings.predict_route)}
        self.before_request(self._authorize)
        self.register_error_handler(Exception, self._handle_error)

    def add_fast_path_route(
        self, method: str, path: str, handler: Handler, scope: str, *, platform_route: bool = False
    ) -> None:
        """Register a handler both as a fast-path route and as an ordinary view.

        The arguments are those of :meth:`add_route`.
        """
        if self._fast_path and (platform_route or (method, path) not in self._platform_paths):
            self._fast_path_routes[method, path] = (handler, scope)
        self.add_route(method, path, handler, scope, platform_route=platform_route)

    def add_route(
        self,
        method: str,
        path: str,
        handler: Handler,
        scope: str,
        *,
        render_error: ErrorRenderer = ErrorResponse.to_response,
        platform_route: bool = False,
    ) -> None:
        """Register a handler as an ordinary view.

        Args:
            method: the HTTP method.
            path: a Flask rule; the handler receives its placeholders as keyword arguments.
            handler: the function that responds.
            scope: the scope that an API key needs, see :mod:`app.api_keys`.
            render_error: the error renderer of the protocol that the path belongs to.
            platform_route: whether the settings choose the path. Such a route replaces a handler
                of the service with the same path, because the platform sends that path nothing
                else.
        """
        if (method, path) in self._platform_paths and not platform_route:
            return
        view = _View(handler, scope, render_error)
        self.add_url_rule(path, f"{method} {path}", view, methods=[method])

    def uses_fast_path(self, method: str, path: str) -> bool:
        """Return whether a request bypasses Flask's dispatch."""
        return (method, path) in self._fast_path_routes

    def routes(self) -> Iterator[Route]:
        """Yield every route, in the order in which Flask tries the rules."""
        for rule in self.url_map.iter_rules():
            view = self.view_functions[rule.endpoint]
            if isinstance(view, _View):
                for method in sorted((rule.methods or set()) - _AUTOMATIC_METHODS):
                    yield Route(method, rule.rule, view.handler, view.scope, view.render_error)

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
        path = environ["PATH_INFO"]
        handler, scope = self._fast_path_routes[environ["REQUEST_METHOD"], path]
        request = ServiceRequest(environ, self.settings.max_body_bytes)
        request.route = path
        token = request_var.set(request)
        try:
            try:
                require(self.keys, request, scope)
                response = handler(request)
            except Exception as error:
                response = self._error_response(error).to_response()
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
        view = self._view()
        require(self.keys, request, view.scope if view else AUTHENTICATED)

    def _view(self) -> _View | None:
        """Return the matched view; None if no rule matched or the view is Flask's own."""
        view = self.view_functions.get(flask_request.endpoint or "")
        return view if isinstance(view, _View) else None

    def _handle_error(self, error: Exception) -> Response:
        view = self._view()
        error_response = self._error_response(error)
        # For an unknown path, Flask stores the exception in the request. The exception refers to
        # its frames, and these to the request, whose body would live until garbage collection.
        error.__traceback__ = error.__context__ = None
        return _to_flask_response(
            view.render_error(error_response) if view else error_response.to_response()
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


class _View:
    """A Flask view that calls a handler of the service."""

    def __init__(self, handler: Handler, scope: str, render_error: ErrorRenderer) -> None:
        self.scope = scope
        self.render_error = render_error
        self.handler = handler
        self.__doc__ = handler.__doc__

    def __call__(self, **placeholders: str) -> Response:
        return _to_flask_response(self.handler(current_request(), **placeholders))


def _to_flask_response(response: ServiceResponse) -> Response:
    """Convert a response to Flask's type."""
    flask_response = Response(response.body, response.status)
    flask_response.headers["Content-Type"] = response.media_type
    for name, value in response.headers:
        flask_response.headers[name] = value
    return flask_response
