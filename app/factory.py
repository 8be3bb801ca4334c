"""The application factory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from app import api, page, protocols
from app.routing import Route
from app.service import Service
from app.settings import Settings

ROUTES = (*api.ROUTES, *protocols.ROUTES, *page.ROUTES)
"""The declared routes."""


def create_app(settings: Settings | None = None, *, fast_path: bool = True) -> Service:
    """Return the service as a WSGI application, with all routes registered.

    No model is loaded yet. A server calls ``service.models.start()`` in each worker after the fork;
    otherwise the first request does.

    Args:
        settings: the settings; read from the environment if None.
        fast_path: whether predictions bypass Flask's dispatch; see :mod:`app.service`.
    """
    settings = settings or Settings.from_environment()
    service = Service(settings, fast_path=fast_path)
    for route in resolve_paths(ROUTES, settings):
        service.add_route(route)
    return service


def resolve_paths(routes: Iterable[Route], settings: Settings) -> Iterator[Route]:
    """Yield the routes to register, with the paths that the settings choose.

    A route on such a path replaces the declared one, because the platform sends that path nothing
    else. A route whose path is chosen by a setting without a value is left out.
    """
    resolved = [
        msgspec.structs.replace(route, path=getattr(settings, route.path_setting))
        if route.path_setting
        else route
        for route in routes
    ]
    chosen = {(route.method, route.path) for route in resolved if route.path_setting}
    for route in resolved:
        is_replaced = not route.path_setting and (route.method, route.path) in chosen
        if route.path and not is_replaced:
            yield route
