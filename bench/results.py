"""What a run measured, and its tables in Markdown, ready for docs/performance.md."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import msgspec

ONE, MANY = "One record a request", "10,000 records a request"


class Round(msgspec.Struct, frozen=True):
    """One round of one contestant.

    Attributes:
        per_second: answers a second.
        p50_ms, p99_ms: latency.
        cpu_us: CPU time of all its processes, a request.
        generator_busy: share of its core that the load generator used.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    generator_busy: float


class Start(msgspec.Struct, frozen=True):
    """One start of one contestant, with no other running.

    Attributes:
        first_answer_s: from the start of its process to its first answer.
        rss_mb, pss_mb: of each worker, after a second of load.
        all_pss_mb: of all its processes.
    """

    first_answer_s: float
    rss_mb: list[float]
    pss_mb: list[float]
    all_pss_mb: float


class Results(msgspec.Struct):
    """A whole run.

    Attributes:
        header: one line each: machine, versions, command.
        starts: by contestant.
        rounds: by title and contestant; round i of one stood beside round i of another.
        not_measured: by contestant, why not.
    """

    header: list[str]
    starts: dict[str, list[Start]] = {}
    rounds: dict[str, dict[str, list[Round]]] = {}
    not_measured: dict[str, str] = {}


def median_and_range(values: Sequence[float], digits: int = 2) -> str:
    """``median (least-most)``, such as ``1.05 (1.01-1.10)``; one number where all are equal."""
    low, middle, high = min(values), statistics.median(values), max(values)
    if low == high:
        return f"{middle:.{digits}f}"
    if digits == 2 and low < 0.1:
        digits = 4
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def ratios(
    rounds: Sequence[Round], baseline: Sequence[Round], figure: Callable[[Round], float]
) -> list[float]:
    """A figure of each round over that of the other contestant's round beside it."""
    return [figure(one) / figure(other) for one, other in zip(rounds, baseline, strict=True)]


def markdown(results: Results) -> str:
    """The whole run as text."""
    parts = ["\n".join(f"    {line}" for line in results.header)]
    parts += [_rounds_table(title, rounds) for title, rounds in results.rounds.items()]
    if results.starts:
        parts.append(_starts_table(results.starts))
    if results.not_measured:
        lines = [f"- {name}: {why}" for name, why in results.not_measured.items()]
        parts.append("Not measured:\n\n" + "\n".join(lines))
    strained = [
        f"- {name}, {title.lower()}: the load generator used {busy:.0%} of its core"
        for title, rounds in results.rounds.items()
        for name, its in rounds.items()
        if (busy := statistics.median(one.generator_busy for one in its)) > 0.8
    ]
    if strained:
        parts.append("Bounded by the load generator, at least as fast:\n\n" + "\n".join(strained))
    return "\n\n".join(parts) + "\n"


def _rounds_table(title: str, rounds: dict[str, list[Round]]) -> str:
    floor, service = rounds.get("floor"), rounds.get("service")
    names = ["", "req/s", "p50 ms", "p99 ms", "CPU µs"]
    if floor:
        names += ["req/s ÷ floor's", "p50 ÷ floor's", "p99 ÷ floor's"]
    if service:
        names.append("service's req/s ÷ its")
    rows = []
    for name, its in rounds.items():
        row = [name]
        for figure, digits in ((_rate, 0), (_p50, 2), (_p99, 2), (_cpu, 0)):
            row.append(f"{statistics.median(figure(one) for one in its):,.{digits}f}")
        if floor:
            row += [median_and_range(ratios(its, floor, f)) for f in (_rate, _p50, _p99)]
        if service:
            row.append(median_and_range(ratios(service, its, _rate)))
        rows.append(row)
    return f"### {title}\n\n" + _table(names, rows)


def _starts_table(starts: dict[str, list[Start]]) -> str:
    names = [
        *("", "RSS of a worker, MB", "PSS of a worker, MB"),
        *("PSS of all processes, MB", "first answer after, s"),
    ]
    rows = [
        [
            name,
            median_and_range([mb for start in its for mb in start.rss_mb], 0),
            median_and_range([mb for start in its for mb in start.pss_mb], 0),
            median_and_range([start.all_pss_mb for start in its], 0),
            median_and_range([start.first_answer_s for start in its]),
        ]
        for name, its in starts.items()
    ]
    return "### Memory and start\n\n" + _table(names, rows)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _rate(one: Round) -> float:
    return one.per_second


def _p50(one: Round) -> float:
    return one.p50_ms


def _p99(one: Round) -> float:
    return one.p99_ms


def _cpu(one: Round) -> float:
    return one.cpu_us
