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

from flask import Flask, Response, request
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.routing import BaseConverter

from app.models import Models
from app.settings import Settings
from app.web import ANY_KEY, KEY, Answer, Call, Metrics, Refusal, current_call, refusal_of, require

Handler = Callable[..., Answer]
Render = Callable[[Refusal], Answer]
StartResponse = Callable[..., Any]

SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
)
_BY_ITSELF = {"HEAD", "OPTIONS"}  # Flask answers HEAD wherever GET is, and OPTIONS everywhere
_STATUS_LINES = {code: f"{code} {phrase.upper()}" for code, phrase in HTTP_STATUS_CODES.items()}


class Route(NamedTuple):
    """A method of a path, and what answers it.

    Attributes:
        rule: the path as Flask writes it, such as ``/problems/<code>``.
        handler: its docstring says what the route is for.
        scope: what an API key must open.
        render: refuses in the words of the protocol that the path belongs to.
    """

    method: str
    rule: str
    handler: Handler
    scope: str
    render: Render


class Service(Flask):
    """The whole service.

    Args:
        settings: of the process.
        hot: whether hot routes take the fast road.
    """

    def __init__(self, settings: Settings, *, hot: bool = True) -> None:
        super().__init__("app", static_folder=None, template_folder="page/templates")
        self.url_map.converters["word"] = _Word
        self.settings = settings
        self.metrics = Metrics()
        self.models = Models(settings, self.metrics)
        self.keys = settings.keys
        self._fast = hot
        self._hot: dict[tuple[str, str], tuple[Handler, str]] = {}
        self._chosen = {("GET", settings.health_route), ("POST", settings.predict_route)}
        self.before_request(self._guard)
        self.register_error_handler(Exception, self._refuse)

    def add_hot_route(
        self, method: str, path: str, handler: Handler, scope: str, *, by_host: bool = False
    ) -> None:
        """Have a function answer a path, both on the fast road and as an ordinary view."""
        if self._fast and (by_host or (method, path) not in self._chosen):
            self._hot[method, path] = (handler, scope)
        self.add_route(method, path, handler, scope, by_host=by_host)

    def add_route(
        self,
        method: str,
        path: str,
        handler: Handler,
        scope: str,
        *,
        render: Render = Refusal.answer,
        by_host: bool = False,
    ) -> None:
        """Have a function answer a path as an ordinary view.

        Args:
            path: a rule of Flask; what its placeholders hold is handed to the function by name.
            scope: what an API key must open, see :mod:`app.api_keys`.
            render: refuses in the words of the protocol that the path belongs to.
            by_host: whether the settings choose the path; a function of ours that has the same
                path then gives way, because the host will ask that path for nothing else.
        """
        if (method, path) in self._chosen and not by_host:
            return
        view = _View(handler, scope, render)
        self.add_url_rule(path, f"{method} {path}", view, methods=[method])

    def is_hot(self, environ: dict[str, Any]) -> bool:
        """Whether a request takes the fast road."""
        return (environ["REQUEST_METHOD"], environ["PATH_INFO"]) in self._hot

    def routes(self) -> Iterator[Route]:
        """Every route, in the order of the paths that Flask tries."""
        for rule in self.url_map.iter_rules():
            view = self.view_functions[rule.endpoint]
            if isinstance(view, _View):
                for method in sorted((rule.methods or set()) - _BY_ITSELF):
                    yield Route(method, rule.rule, view.handler, view.scope, view.render)

    def wsgi_app(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request on either road, between the guards."""
        call = environ[KEY] = Call(environ, self.settings.max_body_bytes)
        token = current_call.set(call)
        try:
            hot = self._hot.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            if hot is None:
                return super().wsgi_app(environ, self._finishing(call, start_response))
            answer = self._answer(call, *hot)
            self._count(call, answer.status)
            start_response(
                _STATUS_LINES[answer.status],
                [
                    ("Content-Type", answer.media_type),
                    *answer.headers,
                    ("Content-Length", str(len(answer.body))),
                    *SECURITY_HEADERS,
                    ("X-Request-ID", call.request_id),
                ],
            )
            return (answer.body,)
        finally:
            current_call.reset(token)
            del environ[KEY]  # a cycle would keep the body until the collector comes by

    def _answer(self, call: Call, handler: Handler, scope: str) -> Answer:
        """The fast road: what Flask does for a view, for one that needs nothing of Flask."""
        call.route = call.environ["PATH_INFO"]
        try:
            require(self.keys, call, scope)
            return handler(call)
        except Exception as error:
            return self._refusal_of(error).answer()

    def _guard(self) -> None:
        """The slow road: before every view, also before there is found to be none."""
        call = the_call()
        if request.url_rule is None:
            return
        call.route = request.url_rule.rule
        view = self._view()
        require(self.keys, call, view.scope if view else ANY_KEY)

    def _view(self) -> _View | None:
        """The view that Flask has found, where it is one of ours."""
        view = self.view_functions.get(request.endpoint or "")
        return view if isinstance(view, _View) else None

    def _refuse(self, error: Exception) -> Response:
        view = self._view()
        refusal = self._refusal_of(error)
        # Flask keeps the exception of a path that it does not know with the request, the exception its
        # frames, and they the request and its body: until the collector comes by.
        error.__traceback__ = error.__context__ = None
        return _response_of(view.render(refusal) if view else refusal.answer())

    def _refusal_of(self, error: Exception) -> Refusal:
        return refusal_of(error, max_body_bytes=self.settings.max_body_bytes)

    def _finishing(self, call: Call, start_response: StartResponse) -> StartResponse:
        """``start_response`` with what every answer gets: headers, and its place in the metrics."""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            given = {name.lower() for name, _ in headers}
            headers += [pair for pair in SECURITY_HEADERS if pair[0].lower() not in given]
            headers.append(("X-Request-ID", call.request_id))
            self._count(call, int(status[:3]))
            return start_response(status, headers, exc_info)

        return start

    def _count(self, call: Call, status: int) -> None:
        seconds = time.perf_counter() - call.started
        self.metrics.request(call.route or "(none)", status, call.version, seconds)


def the_call() -> Call:
    """The request that Flask is answering."""
    return request.environ[KEY]


class _Word(BaseConverter):
    """A part of a path that ends where a verb begins, as in ``NAME:predict``."""

    regex = "[^/:]+"


class _View:
    """A function of ours as a view of Flask."""

    def __init__(self, handler: Handler, scope: str, render: Render) -> None:
        self.scope = scope
        self.render = render
        self.handler = handler
        self.__doc__ = handler.__doc__

    def __call__(self, **placeholders: str) -> Response:
        return _response_of(self.handler(the_call(), **placeholders))


def _response_of(answer: Answer) -> Response:
    """An answer as Flask wants it."""
    response = Response(answer.body, answer.status)
    response.headers["Content-Type"] = answer.media_type
    for name, value in answer.headers:
        response.headers[name] = value
    return response
