"""The pages for a browser: the documentation at /docs.

routes      the routes of the pages
view_model  what the templates show
"""

from app.page.routes import register_page

__all__ = [
    "register_page",
]
