"""The documentation pages under ``/docs``.

routes      the routes of the pages and of their static files
view_model  the values for the templates
"""

from app.page.routes import router

ROUTES = tuple(router.routes)

__all__ = ["ROUTES"]
