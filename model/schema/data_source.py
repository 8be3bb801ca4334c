"""Where a table comes from, and which files only look like it."""

from __future__ import annotations

import msgspec


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the bundled table comes from."""

    title: str
    authors: str
    year: int
    url: str
    licence: str


class ForbiddenTarget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column of another published file that looks like the outcome and is not."""

    column: str
    reason: str


class RejectedCopy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A circulating copy of the table that must not be used.

    A file is that copy when its header holds ``header``, every cell of each column in ``codes``
    is one of the codes given there, at least one of them is no level of this schema, and, with
    ``repeated``, at most half of its rows are different ones.
    """

    header: tuple[str, ...]
    codes: dict[str, tuple[int, ...]]
    reason: str
    repeated: bool = False
