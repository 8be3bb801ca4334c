"""Results of a run, and their tables in Markdown for docs/performance.md."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Sequence

import msgspec

ONE, MANY = "One record a request", "10,000 records a request"


class Round(msgspec.Struct, frozen=True):
    """One round of one target.

    Attributes:
        per_second: responses per second.
        p50_ms: median latency.
        p99_ms: 99th percentile of the latency.
        cpu_us: CPU time of all processes of the target per request.
        generator_busy: fraction of a core that the load generator used.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    generator_busy: float


class Start(msgspec.Struct, frozen=True):
    """One start of one target, without any other running.

    Attributes:
        first_answer_s: time from the start of the process to the first response.
        rss_mb: resident memory of each worker after a second of load.
        pss_mb: proportional memory of each worker after a second of load.
        all_pss_mb: proportional memory of all processes of the target.
    """

    first_answer_s: float
    rss_mb: list[float]
    pss_mb: list[float]
    all_pss_mb: float


class Results(msgspec.Struct):
    """The results of a run.

    Attributes:
        header: lines with command, machine and versions.
        starts: starts by target.
        rounds: rounds by title and target; the rounds i of all targets ran one after the other.
        not_measured: reason by target.
    """

    header: list[str]
    starts: dict[str, list[Start]] = {}
    rounds: dict[str, dict[str, list[Round]]] = {}
    not_measured: dict[str, str] = {}


def median_and_range(values: Sequence[float], digits: int = 2) -> str:
    """Return ``median (minimum-maximum)``, such as ``1.05 (1.01-1.10)``.

    Returns a single number if all values are equal.
    """
    low, median, high = min(values), statistics.median(values), max(values)
    if low == high:
        return f"{median:.{digits}f}"
    if digits == 2 and low < 0.1:
        digits = 4
    return f"{median:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def ratios(
    rounds: Sequence[Round], baseline: Sequence[Round], figure: Callable[[Round], float]
) -> list[float]:
    """Return the ratio of a figure to the baseline's, round by round."""
    return [figure(own) / figure(other) for own, other in zip(rounds, baseline, strict=True)]


def markdown(results: Results) -> str:
    """Return the report of a run."""
    parts = ["\n".join(f"    {line}" for line in results.header)]
    parts += [_rounds_table(title, rounds) for title, rounds in results.rounds.items()]
    if results.starts:
        parts.append(_starts_table(results.starts))
    if results.not_measured:
        lines = [f"- {name}: {reason}" for name, reason in results.not_measured.items()]
        parts.append("Not measured:\n\n" + "\n".join(lines))
    limited = [
        f"- {name}, {title.lower()}: the load generator used {busy:.0%} of its core"
        for title, rounds_by_target in results.rounds.items()
        for name, rounds in rounds_by_target.items()
        if (busy := statistics.median(each.generator_busy for each in rounds)) > 0.8
    ]
    if limited:
        parts.append(
            "Limited by the load generator; these targets may be faster:\n\n" + "\n".join(limited)
        )
    return "\n\n".join(parts) + "\n"


def _rounds_table(title: str, rounds_by_target: dict[str, list[Round]]) -> str:
    rate, p50, p99, cpu = map(operator.attrgetter, ("per_second", "p50_ms", "p99_ms", "cpu_us"))
    floor, service = rounds_by_target.get("floor"), rounds_by_target.get("service")
    header = ["", "req/s", "p50 ms", "p99 ms", "CPU µs"]
    if floor:
        header += ["req/s ÷ floor's", "p50 ÷ floor's", "p99 ÷ floor's"]
    if service:
        header.append("service's req/s ÷ this")
    rows = []
    for name, rounds in rounds_by_target.items():
        row = [name]
        for figure, digits in ((rate, 0), (p50, 2), (p99, 2), (cpu, 0)):
            row.append(f"{statistics.median(map(figure, rounds)):,.{digits}f}")
        if floor:
            row += [median_and_range(ratios(rounds, floor, f)) for f in (rate, p50, p99)]
        if service:
            row.append(median_and_range(ratios(service, rounds, rate)))
        rows.append(row)
    return f"### {title}\n\n" + _table(header, rows)


def _starts_table(starts_by_target: dict[str, list[Start]]) -> str:
    header = [
        "",
        "RSS of a worker, MB",
        "PSS of a worker, MB",
        "PSS of all processes, MB",
        "first response after, s",
    ]
    rows = [
        [
            name,
            median_and_range([mb for start in starts for mb in start.rss_mb], 0),
            median_and_range([mb for start in starts for mb in start.pss_mb], 0),
            median_and_range([start.all_pss_mb for start in starts], 0),
            median_and_range([start.first_answer_s for start in starts]),
        ]
        for name, starts in starts_by_target.items()
    ]
    return "### Memory and start\n\n" + _table(header, rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
