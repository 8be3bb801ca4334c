"""The source of a table, and published files that must not be used in its place."""

from __future__ import annotations

import msgspec


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The publication that the bundled table is taken from."""

    title: str
    authors: str
    year: int
    url: str
    licence: str


class ForbiddenTarget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column of another published file that looks like the outcome but has another meaning."""

    column: str
    reason: str


class RejectedCopy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published copy of the table with known errors, which must not be used.

    A file is such a copy if all of these are true: its header contains every name in ``header``;
    in each column of ``codes`` every cell is one of the listed codes; at least one of these cells
    is not a level of this schema; with ``repeated``, at most half of its rows are distinct.

    Attributes:
        reason: what is wrong with the copy, and which file to use instead.
    """

    header: tuple[str, ...]
    codes: dict[str, tuple[int, ...]]
    reason: str
    repeated: bool = False
