"""Sustained load, and the memory it takes: `python -m benchmarks.load`.

Shares are created, and opened once, over 16 and then over 256 connections: errors and p99. Then
this continues for `--minutes`, and the memory of each web process is compared after the first
minute and at the end. The service has threads for 32 of the 256 connections: the others wait.
"""

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.loadgen import Driver
from benchmarks.report import figure
from benchmarks.runner import count_errors, say, spread
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import Servers, Site

RESULT = Path(__file__).parent / "results" / "load.json"
ACTS = ("create", "open")


@dataclass(frozen=True)
class Row:
    """One act at one number of connections: requests per second, latencies in ms, and errors."""

    act: str
    connections: int
    rate: float
    p50: float
    p99: float
    errors: int


@dataclass(frozen=True)
class Memory:
    """One web process's own memory (USS) in MiB: first minute, the peak after it, the end."""

    first_minute: float
    most_after: float
    end: float
    requests: int
    errors: int


def slice_of(site: Site, act: str, connections: int, requests: int) -> Row:
    """Run one slice and check every answer."""
    driver = Driver(site.address)
    try:
        spread(driver, site, connections)
        work = SCENARIOS[act].prepare(driver, requests)
        done = driver.run(work.requests)
    finally:
        driver.close()
    errors = count_errors(work, done, 0)
    shown = figure(done, errors)
    return Row(act, connections, shown.rate, shown.p50, shown.p99, sum(errors.values()))


def memory_of(site: Site) -> list[float]:
    """Return the memory unique to each web process (USS), in MiB."""
    return [worker.memory_full_info().uss / 2**20 for worker in site.workers()]


def soak(site: Site, minutes: float, connections: int) -> list[Memory]:
    """Apply load for `minutes` and return the memory of each web process."""
    began, samples, errors, count = time.monotonic(), list[tuple[float, list[float]]](), 0, 0
    for act in _in_turns():
        errors += (done := slice_of(site, act, connections, 2000)).errors
        count += 2000
        took = time.monotonic() - began
        samples.append((took, memory_of(site)))
        say(f"  {took:4.0f} s: {done.rate:5,.0f} {act}s a second, {samples[-1][1]} MiB")
        if took > 60 * minutes:
            return [_summarized(samples, n, count, errors) for n in range(len(samples[0][1]))]
    raise AssertionError("turns never end")


def _in_turns() -> Iterator[str]:
    while True:
        yield from ACTS


def _summarized(
    samples: list[tuple[float, list[float]]], number: int, count: int, errors: int
) -> Memory:
    first = max(sizes[number] for took, sizes in samples if took <= 60 or took == samples[0][0])
    after = [sizes[number] for took, sizes in samples if took > 60] or [first]
    return Memory(first, max(after), after[-1], count, errors)


def table(rows: list[Row], memory: list[Memory]) -> str:
    """Return both results as tables."""
    lines = ["| | connections | req/s | p50 ms | p99 ms | errors |",
             "| --- | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for row in rows:
        figures = f"{row.rate:,.0f} | {row.p50:.1f} | {row.p99:.1f} | {row.errors}"
        lines.append(f"| {row.act} | {row.connections} | {figures} |")
    lines += ["", "| memory, MiB | first minute | most after it | end | requests | errors |",
              "| --- | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for number, each in enumerate(memory):
        sizes = f"{each.first_minute:.1f} | {each.most_after:.1f} | {each.end:.1f}"
        lines.append(f"| web process {number + 1} | {sizes} | {each.requests:,} | {each.errors} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the tables and write the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long the soak is (10)")
    parser.add_argument("--requests", type=int, default=4_000, help="requests a slice (4000)")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fugata-bench-")))
        say(f"machine: {machine.describe(folder)}")
        site = Servers(folder, stack).site("fugata")
        rows = [slice_of(site, act, n, options.requests) for n in (16, 256) for act in ACTS]
        memory = soak(site, options.minutes, 256)
    RESULT.parent.mkdir(exist_ok=True)
    result = {"load": [asdict(row) for row in rows], "memory": [asdict(each) for each in memory]}
    RESULT.write_text(json.dumps(result, indent=1))
    print(table(rows, memory))


if __name__ == "__main__":
    main()
