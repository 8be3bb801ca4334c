"""The documentation page at ``/docs``.

routes      the routes of the page and its static files
view_model  the values for the templates
"""

from app.page.routes import register_page

__all__ = [
    "register_page",
]
