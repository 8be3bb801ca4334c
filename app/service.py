"""The service as a Flask application with guards in front and a fast road through.

Every request goes through the same guards: a request id, an API key where keys are configured,
exceptions turned into refusals, headers, metrics. Behind them most routes are ordinary Flask views.
A function that is registered as *hot* is reached without Flask's dispatch, which costs more than
reading, scoring and answering a record together; it is an ordinary view at the same time, and a
test holds the two roads against each other.
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
)

Handler = Callable[..., ServiceResponse]
ErrorRenderer = Callable[[ErrorResponse], ServiceResponse]
StartResponse = Callable[..., Any]

SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
)
_AUTOMATIC_METHODS = {
    "HEAD",
    "OPTIONS",
}  # Flask answers HEAD wherever GET is, and OPTIONS everywhere
_STATUS_LINES = {code: f"{code} {phrase.upper()}" for code, phrase in HTTP_STATUS_CODES.items()}


class Route(NamedTuple):
    """A method of a path, and what answers it.

    Attributes:
        rule: the path as Flask writes it, such as ``/problems/<code>``.
        handler: its docstring says what the route is for.
        scope: what an API key must open.
        render_error: refuses in the words of the protocol that the path belongs to.
    """

    method: str
    rule: str
    handler: Handler
    scope: str
    render_error: ErrorRenderer


class Service(Flask):
    """The whole service.

    Args:
        settings: of the process.
        fast_path: whether hot routes take the fast road.
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
        """Have a function answer a path, both on the fast road and as an ordinary view."""
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
        """Have a function answer a path as an ordinary view.

        Args:
            path: a rule of Flask; what its placeholders hold is handed to the function by name.
            scope: what an API key must open, see :mod:`app.api_keys`.
            render_error: refuses in the words of the protocol that the path belongs to.
            platform_route: whether the settings choose the path; a function of ours that has the same
                path then gives way, because the host will ask that path for nothing else.
        """
        if (method, path) in self._platform_paths and not platform_route:
            return
        view = _View(handler, scope, render_error)
        self.add_url_rule(path, f"{method} {path}", view, methods=[method])

    def uses_fast_path(self, environ: dict[str, Any]) -> bool:
        """Whether a request takes the fast road."""
        return (environ["REQUEST_METHOD"], environ["PATH_INFO"]) in self._fast_path_routes

    def routes(self) -> Iterator[Route]:
        """Every route, in the order of the paths that Flask tries."""
        for rule in self.url_map.iter_rules():
            view = self.view_functions[rule.endpoint]
            if isinstance(view, _View):
                for method in sorted((rule.methods or set()) - _AUTOMATIC_METHODS):
                    yield Route(method, rule.rule, view.handler, view.scope, view.render_error)

    def wsgi_app(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request on either road, between the guards."""
        request = environ[ENVIRON_KEY] = ServiceRequest(environ, self.settings.max_body_bytes)
        token = request_var.set(request)
        try:
            entry = self._fast_path_routes.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            if entry is None:
                return super().wsgi_app(environ, self._wrap_start_response(request, start_response))
            answer = self._call_fast_path(request, *entry)
            self._count_request(request, answer.status)
            start_response(
                _STATUS_LINES[answer.status],
                [
                    ("Content-Type", answer.media_type),
                    *answer.headers,
                    ("Content-Length", str(len(answer.body))),
                    *SECURITY_HEADERS,
                    ("X-Request-ID", request.request_id),
                ],
            )
            return (answer.body,)
        finally:
            request_var.reset(token)
            del environ[ENVIRON_KEY]  # a cycle would keep the body until the collector comes by

    def _call_fast_path(
        self, request: ServiceRequest, handler: Handler, scope: str
    ) -> ServiceResponse:
        """The fast road: what Flask does for a view, for one that needs nothing of Flask."""
        request.route = request.environ["PATH_INFO"]
        try:
            require(self.keys, request, scope)
            return handler(request)
        except Exception as error:
            return self._error_response(error).to_response()

    def _authorize(self) -> None:
        """The slow road: before every view, also before there is found to be none."""
        request = current_request()
        if flask_request.url_rule is None:
            return
        request.route = flask_request.url_rule.rule
        view = self._view()
        require(self.keys, request, view.scope if view else AUTHENTICATED)

    def _view(self) -> _View | None:
        """The view that Flask has found, where it is one of ours."""
        view = self.view_functions.get(flask_request.endpoint or "")
        return view if isinstance(view, _View) else None

    def _handle_error(self, error: Exception) -> Response:
        view = self._view()
        error_response = self._error_response(error)
        # Flask keeps the exception of a path that it does not know with the request, the exception its
        # frames, and they the request and its body: until the collector comes by.
        error.__traceback__ = error.__context__ = None
        return _to_flask_response(
            view.render_error(error_response) if view else error_response.to_response()
        )

    def _error_response(self, error: Exception) -> ErrorResponse:
        return log_error(error, max_body_bytes=self.settings.max_body_bytes)

    def _wrap_start_response(
        self, request: ServiceRequest, start_response: StartResponse
    ) -> StartResponse:
        """``start_response`` with what every answer gets: headers, and its place in the metrics."""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            given = {name.lower() for name, _ in headers}
            headers += [pair for pair in SECURITY_HEADERS if pair[0].lower() not in given]
            headers.append(("X-Request-ID", request.request_id))
            self._count_request(request, int(status[:3]))
            return start_response(status, headers, exc_info)

        return start

    def _count_request(self, request: ServiceRequest, status: int) -> None:
        seconds = time.perf_counter() - request.started
        self.metrics.observe_request(request.route or "(none)", status, request.version, seconds)


def current_request() -> ServiceRequest:
    """The request that Flask is answering."""
    return flask_request.environ[ENVIRON_KEY]


class _SegmentConverter(BaseConverter):
    """A part of a path that ends where a verb begins, as in ``NAME:predict``."""

    regex = "[^/:]+"


class _View:
    """A function of ours as a view of Flask."""

    def __init__(self, handler: Handler, scope: str, render_error: ErrorRenderer) -> None:
        self.scope = scope
        self.render_error = render_error
        self.handler = handler
        self.__doc__ = handler.__doc__

    def __call__(self, **placeholders: str) -> Response:
        return _to_flask_response(self.handler(current_request(), **placeholders))


def _to_flask_response(answer: ServiceResponse) -> Response:
    """An answer as Flask wants it."""
    response = Response(answer.body, answer.status)
    response.headers["Content-Type"] = answer.media_type
    for name, value in answer.headers:
        response.headers[name] = value
    return response
