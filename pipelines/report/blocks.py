"""Blocks of a section of the report, and the formatting of its numbers."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model.evaluation import Estimate

NOT_KNOWN = "—"


@dataclass(frozen=True)
class FigureBlock:
    """A figure.

    Attributes:
        svg: an ``<svg>`` element, as :func:`pipelines.html.svg.as_svg` returns it.
        caption: the text below the figure.
    """

    svg: str
    caption: str


@dataclass(frozen=True)
class TableBlock:
    """A table of text.

    Attributes:
        head: the column titles; empty strings for a table without a header.
        rows: the cells, one for each title.
        caption: the text above the table; empty for none.

    Raises:
        ValueError: a row and the header differ in their number of cells.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.head) for row in self.rows):
            raise ValueError("A row must have as many cells as the header.")


@dataclass(frozen=True)
class BulletList:
    """A list of statements, one per line."""

    items: Sequence[str]


@dataclass(frozen=True)
class CodeBlock:
    """Literal text in a fixed-width font, such as a command."""

    text: str


Block = str | FigureBlock | TableBlock | BulletList | CodeBlock
"""A ``str`` is a paragraph."""


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Attributes:
        key: the anchor in the page.
        title: the heading.
        blocks: the content, in order.
    """

    key: str
    title: str
    blocks: Sequence[Block]

    @property
    def named_blocks(self) -> list[tuple[str, Block]]:
        """Return each block with the lower-case name of its class, which the template reads."""
        return [(type(block).__name__.lower(), block) for block in self.blocks]


def format_number(value: float | None, digits: int = 3, sign: str = "") -> str:
    """Return a number with a true minus sign, or a dash for None and NaN.

    Args:
        value: the number.
        digits: decimal places.
        sign: the sign option of a format specification; "+" also marks positive numbers.
    """
    if value is None or math.isnan(value):
        return NOT_KNOWN
    rounded = round(value, digits) + 0.0  # -0.0 becomes 0.0
    return f"{rounded:{sign}.{digits}f}".replace("-", "\N{MINUS SIGN}")


def with_interval(estimate: Estimate | None, digits: int = 3, sign: str = "") -> str:
    """Return an estimate with its 95 % interval, or a dash for None and NaN.

    Args:
        estimate: the estimate.
        digits, sign: as in :func:`format_number`.
    """
    if estimate is None or math.isnan(estimate.value):
        return NOT_KNOWN
    low, high = (format_number(end, digits, sign) for end in (estimate.low, estimate.high))
    return f"{format_number(estimate.value, digits, sign)} ({low} to {high})"


def percent(fraction: float, digits: int = 0) -> str:
    """Return a fraction as a percentage, or a dash for NaN.

    >>> percent(0.459)
    '46 %'
    """
    return NOT_KNOWN if math.isnan(fraction) else f"{format_number(100 * fraction, digits)} %"


def join_with_and(words: Iterable[str]) -> str:
    """Join words with commas and a final "and".

    >>> join_with_and(["a", "b", "c"])
    'a, b and c'
    """
    *others, last = list(words) or [NOT_KNOWN]
    return f"{', '.join(others)} and {last}" if others else last


def one_line(text: str) -> str:
    """Return a text of the schema on one line, each run of white space as one space."""
    return " ".join(text.split())


def escape_mathtext(text: str) -> str:
    """Return a text of the schema on one line, with every dollar sign escaped.

    Otherwise matplotlib would read the text between two dollar signs as a formula.
    """
    return one_line(text).replace("$", r"\$")


def wrapped(text: str, width: int = 24) -> str:
    """Wrap :func:`escape_mathtext` of a text at ``width`` characters, into at most three lines."""
    return "\n".join(textwrap.wrap(escape_mathtext(text), width, max_lines=3, placeholder=" …"))
