"""HTML pages in one file, with figures as SVG.

render    pages from templates
plotting  matplotlib figures in one style
svg       figures as SVG elements
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from pipelines.html.plotting import COLORMAP as COLORMAP
    from pipelines.html.plotting import COLOURS as COLOURS
    from pipelines.html.plotting import DASHES as DASHES
    from pipelines.html.plotting import FILLS as FILLS
    from pipelines.html.plotting import MARKERS as MARKERS
    from pipelines.html.plotting import label as label
    from pipelines.html.plotting import panels as panels
    from pipelines.html.plotting import plot_style as plot_style
    from pipelines.html.render import render_page as render_page
    from pipelines.html.svg import as_svg as as_svg
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "plotting": (
                "COLOURS",
                "DASHES",
                "FILLS",
                "MARKERS",
                "COLORMAP",
                "plot_style",
                "label",
                "panels",
            ),
            "render": ("render_page",),
            "svg": ("as_svg",),
        },
    )
