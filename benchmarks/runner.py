"""Rounds of slices: every scenario once per round, in an order rotated by one each round."""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.loadgen import Driver, Slice
from benchmarks.report import Figure, Rounds, figure
from benchmarks.scenarios import Scenario, Work, render
from benchmarks.servers import Servers, Site


@dataclass(frozen=True)
class Plan:
    """How much is sent: `requests` and `warmup` are per slice."""

    rounds: int
    requests: int
    warmup: int
    connections: int


def rotated(scenarios: Sequence[Scenario], by: int) -> list[Scenario]:
    """Return the scenarios, rotated left by `by`."""
    start = by % len(scenarios)
    return [*scenarios[start:], *scenarios[:start]]


def has_right_body(work: Work, index: int, body: bytes) -> bool:
    """Return whether a 2xx has the right body; one that can't be parsed does not."""
    try:
        return work.is_right(index, body)
    except (ValueError, KeyError, TypeError):
        return False


def count_errors(work: Work, done: Slice, offset: int) -> Counter[str]:
    """Count answers that are not a 2xx, and those that are but have the wrong body."""
    errors = done.errors()
    for index, (status, body) in enumerate(zip(done.statuses, done.bodies, strict=True)):
        if 200 <= status < 300 and not has_right_body(work, offset + index, body):
            errors["wrong answer"] += 1
    return errors


def spread(driver: Driver, site: Site, connections: int) -> None:
    """Open the connections so that each worker gets an equal share.

    Left to chance, one of two workers often accepts all of them and a core stays idle: that would
    measure luck. So each worker in turn accepts its share while the others are paused.
    """
    workers = site.workers()
    for number, worker in enumerate(workers):
        share = len(range(number, connections, len(workers)))
        with paused([other for other in workers if other != worker]):
            driver.add(share, render("GET", site.ready))


@contextlib.contextmanager
def paused(workers: Sequence[psutil.Process]) -> Iterator[None]:
    """Suspend processes for the duration of the context."""
    for worker in workers:
        worker.suspend()
    while not all(map(_is_stopped, workers)):  # a thread still running might accept a connection
        time.sleep(0.001)
    try:
        yield
    finally:
        for worker in workers:
            worker.resume()


def _is_stopped(process: psutil.Process) -> bool:
    """Return whether all threads of a process are stopped."""
    tasks = Path(f"/proc/{process.pid}/task").glob("*/status")
    return all("\nState:\tT" in task.read_text() for task in tasks)


def measure(scenario: Scenario, servers: Servers, plan: Plan) -> Figure:
    """Prepare, warm up and time one slice."""
    site = servers.site(scenario.site)
    driver = Driver(site.address)
    try:
        spread(driver, site, plan.connections)
        work = scenario.prepare(driver, plan.warmup + plan.requests)
        warm = driver.run(work.requests[: plan.warmup])
        timed = driver.run(work.requests[plan.warmup :])
    finally:
        driver.close()
    errors = count_errors(work, warm, 0) + count_errors(work, timed, plan.warmup)
    return figure(timed, errors)


def say(text: str) -> None:
    """Print progress to stderr, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def announce(scenario: Scenario, done: Figure, servers: Servers) -> None:
    """Show one slice, and the end of the server's log when something went wrong."""
    figures = f"{done.rate:8,.0f} req/s  p50 {done.p50:7.2f} ms  p99 {done.p99:7.2f} ms"
    say(f"  {scenario.name:14} {figures}")
    if done.errors:
        say(f"  ERRORS {done.errors}\n{servers.last_lines(scenario.site)}")


def one_round(scenarios: Sequence[Scenario], servers: Servers, plan: Plan) -> dict[str, Figure]:
    """Measure each scenario once."""
    done = {}
    for scenario in scenarios:
        done[scenario.name] = measure(scenario, servers, plan)
        announce(scenario, done[scenario.name], servers)
    return done


def all_rounds(scenarios: Sequence[Scenario], servers: Servers, plan: Plan) -> Rounds:
    """Measure every round."""
    return list(_rounds(scenarios, servers, plan))


def _rounds(
    scenarios: Sequence[Scenario], servers: Servers, plan: Plan
) -> Iterator[dict[str, Figure]]:
    for number in range(plan.rounds):
        say(f"round {number + 1} of {plan.rounds}")
        yield one_round(rotated(scenarios, number), servers, plan)
