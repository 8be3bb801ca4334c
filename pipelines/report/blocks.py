"""What a section of the report is made of, and how its numbers are written."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model.evaluation import Estimate

NOT_KNOWN = "—"


@dataclass(frozen=True)
class FigureBlock:
    """A figure: SVG as :func:`pipelines.html.svg.as_svg` gives it, and the words below it."""

    svg: str
    caption: str


@dataclass(frozen=True)
class TableBlock:
    """A table of text.

    Attributes:
        head: the titles of the columns.
        rows: as many cells each as there are titles.
        caption: above it.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.head) for row in self.rows):
            raise ValueError("a row has another number of cells than the head")


@dataclass(frozen=True)
class BulletList:
    """Several statements, one a line."""

    items: Sequence[str]


@dataclass(frozen=True)
class CodeBlock:
    """What is typed or read letter by letter."""

    text: str


Block = str | FigureBlock | TableBlock | BulletList | CodeBlock
"""A ``str`` is a paragraph."""


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Attributes:
        key: its anchor, and how others refer to it.
        title: what it answers.
    """

    key: str
    title: str
    blocks: Sequence[Block]

    @property
    def named_blocks(self) -> list[tuple[str, Block]]:
        """Every block with the name of its kind, in small letters, for the template."""
        return [(type(block).__name__.lower(), block) for block in self.blocks]


def format_number(value: float | None, digits: int = 3, sign: str = "") -> str:
    """A number with a minus sign that is one; a dash for what is not known."""
    if value is None or math.isnan(value):
        return NOT_KNOWN
    rounded = round(value, digits) + 0.0  # no minus before a zero
    return f"{rounded:{sign}.{digits}f}".replace("-", "\N{MINUS SIGN}")


def with_interval(figure: Estimate | None, digits: int = 3, sign: str = "") -> str:
    """A figure and its 95 % interval."""
    if figure is None or math.isnan(figure.value):
        return NOT_KNOWN
    low, high = (format_number(end, digits, sign) for end in (figure.low, figure.high))
    return f"{format_number(figure.value, digits, sign)} ({low} to {high})"


def percent(share: float, digits: int = 0) -> str:
    """A share of one in hundredths."""
    return NOT_KNOWN if math.isnan(share) else f"{format_number(100 * share, digits)} %"


def join_with_and(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *others, last = list(words) or [NOT_KNOWN]
    return f"{', '.join(others)} and {last}" if others else last


def one_line(text: str) -> str:
    """A text of the schema without its line breaks."""
    return " ".join(text.split())


def escape_mathtext(text: str) -> str:
    """Words of the schema as matplotlib draws them letter by letter: a dollar sign starts no formula."""
    return one_line(text).replace("$", r"\$")


def wrapped(text: str, width: int = 24) -> str:
    """The same in short lines, at most three of them."""
    return "\n".join(textwrap.wrap(escape_mathtext(text), width, max_lines=3, placeholder=" …"))
