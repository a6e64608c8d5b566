"""Turn slices into figures, and figures into a table."""

import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.loadgen import Slice
from benchmarks.scenarios import FLOOR, SCENARIOS

RESULT = Path(__file__).resolve().parent / "results" / "latest.json"


@dataclass(frozen=True)
class Figure:
    """One scenario in one round: requests per second, latencies in ms, and errors.

    `generator` is the share of one core that the load generator itself took, 0 to 1.
    """

    rate: float
    p50: float
    p99: float
    generator: float
    reconnects: int
    errors: dict[str, int]


@dataclass(frozen=True)
class Summary:
    """Medians over the rounds; `ratio` is the median of the rounds' own ratios to the floor."""

    rate: float
    slowest: float
    fastest: float
    p50: float
    p99: float
    ratio: float | None
    generator: float
    reconnects: int
    errors: dict[str, int]


Rounds = list[dict[str, Figure]]


def percentile(ordered: Sequence[int], share: float) -> float:
    """Return the nearest-rank percentile, in ms, of ascending nanoseconds; NaN if empty."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] / 1e6


def figure(timed: Slice, errors: Mapping[str, int]) -> Figure:
    """Compute the figure of one slice."""
    ordered = sorted(timed.latencies_ns)
    return Figure(
        rate=len(ordered) / (timed.wall_ns / 1e9),
        p50=percentile(ordered, 0.50),
        p99=percentile(ordered, 0.99),
        generator=timed.generator_cpu_ns / timed.wall_ns,
        reconnects=timed.reconnects,
        errors=dict(errors),
    )


def ratio_to_floor(rounds: Rounds, name: str) -> float | None:
    """Return the median over rounds of throughput divided by that round's floor, or None."""
    pairs = [(done[name].rate, done[FLOOR].rate) for done in rounds if FLOOR in done]
    return statistics.median(rate / floor for rate, floor in pairs) if pairs else None


def summary(rounds: Rounds, name: str) -> Summary:
    """Return the medians of one scenario."""
    figures = [done[name] for done in rounds]
    errors: Counter[str] = Counter()
    for each in figures:
        errors.update(each.errors)
    return Summary(
        rate=statistics.median(each.rate for each in figures),
        slowest=min(each.rate for each in figures),
        fastest=max(each.rate for each in figures),
        p50=statistics.median(each.p50 for each in figures),
        p99=statistics.median(each.p99 for each in figures),
        ratio=ratio_to_floor(rounds, name),
        generator=statistics.median(each.generator for each in figures),
        reconnects=sum(each.reconnects for each in figures),
        errors=dict(errors),
    )


HEADER = (
    "scenario",
    "req/s",
    "lowest-highest",
    "p50 ms",
    "p99 ms",
    "of floor",
    "load gen",
    "errors",
)


def row(name: str, of: Summary) -> tuple[str, ...]:
    """Return the cells of one line of the table."""
    wrong = sum(of.errors.values())
    return (
        SCENARIOS[name].title,
        f"{of.rate:,.0f}",
        f"{of.slowest:,.0f}-{of.fastest:,.0f}",
        f"{of.p50:.2f}",
        f"{of.p99:.2f}",
        "-" if of.ratio is None else f"{of.ratio:.2f}",
        f"{of.generator:.0%}",
        f"{wrong} INVALID" if wrong else "0",
    )


def line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Lay out one line: the first cell left-aligned, figures right-aligned."""
    first = cells[0].ljust(widths[0])
    rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "| " + " | ".join([first, *rest]) + " |"


def table(summaries: Mapping[str, Summary]) -> str:
    """Return the summaries as a Markdown table."""
    rows = [HEADER, *(row(name, each) for name, each in summaries.items())]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(HEADER))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(line(cells, widths) for cells in [rows[0], rule, *rows[1:]])


def notes(summaries: Mapping[str, Summary]) -> list[str]:
    """Report connections that the server closed, which upsets the balance over workers."""
    return [
        f"NOTE {name}: {each.reconnects} reconnects"
        for name, each in summaries.items()
        if each.reconnects
    ]


def complaints(summaries: Mapping[str, Summary]) -> list[str]:
    """Report the errors of each scenario."""
    return [f"{name}: {each.errors}" for name, each in summaries.items() if each.errors]


def write(setup: Mapping[str, Any], rounds: Rounds, summaries: Mapping[str, Summary]) -> None:
    """Write everything that was measured to results/latest.json."""
    RESULT.parent.mkdir(exist_ok=True)
    result = {
        **setup,
        "medians": {name: asdict(each) for name, each in summaries.items()},
        "rounds": [{name: asdict(each) for name, each in done.items()} for done in rounds],
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
