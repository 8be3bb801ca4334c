"""Declarations of routes, from which registration, authorization and documentation follow.

A module with handlers has a router, whose decorator declares the routes of a function:

    router = Router()

    @router.route("GET", "/healthz", scope=PUBLIC, tag="Health", responses=...)
    def healthz(service: Service, request: ServiceRequest) -> ServiceResponse:
        \"\"\"Report that the process is alive.\"\"\"

The docstring is the summary of the route. The function itself is unchanged, so that a test can call
it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from app.models import DocumentedModel
from app.web import ErrorResponse, ServiceResponse

Json = dict[str, Any]
Handler = Callable[..., ServiceResponse]
"""A function of the service, the request and, by keyword, the placeholders of the path."""
ErrorRenderer = Callable[[ErrorResponse], ServiceResponse]
Responses = Mapping[int, Json]

_Handler = TypeVar("_Handler", bound=Handler)
_PLACEHOLDER = re.compile(r"<(?:[^<>]*:)?(\w+)>")


class ForeignProtocol(msgspec.Struct, frozen=True, kw_only=True):
    """A protocol of other servers. Its routes are described by its published specification.

    Attributes:
        name: the name, such as ``Open Inference Protocol (V2)``.
        slug: the last segment of the path of its page, ``/docs/SLUG``.
        specifications: the URLs of the published specifications, by title.
        differences: what differs from the specifications, in a few sentences.
        example: returns the path and the JSON body of a POST request with a record.
    """

    name: str
    slug: str
    specifications: Mapping[str, str]
    differences: str
    example: Callable[[DocumentedModel], tuple[str, Json]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A method of a path, and its handler.

    Attributes:
        path: the path in Flask notation, such as ``/problems/<code>``; "" if a setting chooses it.
        path_setting: the setting with the path that a platform chooses; "" if there is none.
        handler: the function that responds.
        scope: the scope that an API key needs, see :mod:`app.api_keys`.
        render_error: converts an error into a response.
        protocol: the protocol of other servers that the route belongs to; None for our own routes.
        fast_path: whether the handler is called without Flask's dispatch, see :mod:`app.service`.
        tag: the group of the route in the documentation.
        placeholders: the JSON Schema of each placeholder of the path.
        body: returns the Request Body Object; None if the route reads no body.
        responses: Response Objects of the successful responses, by status; a function if they
            depend on the model.
        errors: keys of :data:`app.web.problem_types.PROBLEM_TYPES` that the route can respond with,
            in addition to those of every route.
    """

    method: str
    path: str
    path_setting: str = ""
    handler: Handler
    scope: str
    render_error: ErrorRenderer = ErrorResponse.to_response
    protocol: ForeignProtocol | None = None
    fast_path: bool = False
    tag: str = ""
    placeholders: Mapping[str, Json] = {}
    body: Callable[[DocumentedModel], Json] | None = None
    responses: Responses | Callable[[DocumentedModel], Responses] = {}
    errors: Sequence[str] = ()

    @property
    def documented_path(self) -> str:
        """The path in OpenAPI notation, such as ``/problems/{code}``."""
        return _PLACEHOLDER.sub(r"{\1}", self.path)

    @property
    def summary(self) -> str:
        """The first paragraph of the handler's docstring."""
        return self._docstring[0]

    @property
    def details(self) -> str:
        """The rest of the handler's docstring."""
        return self._docstring[1]

    @property
    def _docstring(self) -> tuple[str, str]:
        first, _, rest = (self.handler.__doc__ or "").replace("``", "").partition("\n\n")
        return " ".join(first.split()), " ".join(rest.split())


class Router:
    """The routes of a module, in the order of their declarations.

    Args:
        common: attributes of :class:`Route` for every route that does not declare its own.
    """

    def __init__(self, **common: Any) -> None:
        self.routes: list[Route] = []
        self._common = common

    def route(
        self, method: str, *paths: str, scope: str, path_setting: str = "", **attributes: Any
    ) -> Callable[[_Handler], _Handler]:
        """Return a decorator that declares a route of its function for each path.

        Args:
            method: the HTTP method.
            paths: the paths.
            scope: the scope that an API key needs.
            path_setting: a setting with a further path, which a platform chooses.
            attributes: further attributes of :class:`Route`.
        """
        attributes = {**self._common, "method": method, "scope": scope, **attributes}

        def declare(handler: _Handler) -> _Handler:
            for path in paths:
                self.routes.append(Route(path=path, handler=handler, **attributes))
            if path_setting:
                self.routes.append(
                    Route(path="", path_setting=path_setting, handler=handler, **attributes)
                )
            return handler

        return declare
