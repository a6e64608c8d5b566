"""`python -m benchmarks`: measure Fugata beside a floor and a peer, and print a table."""

import argparse
import contextlib
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import machine, report, stores
from benchmarks.runner import Plan, all_rounds, say
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.servers import GUNICORN, Servers

BUSY = 0.5  # load average over the last minute


def positive(text: str) -> int:
    """Read a number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=5, help="rounds (5)")
    parser.add_argument("--requests", type=positive, default=2000, help="requests a slice (2000)")
    parser.add_argument("--warmup", type=positive, default=400, help="more, not timed (400)")
    parser.add_argument("--connections", type=positive, default=16, help="connections (16)")
    parser.add_argument("--only", default=",".join(SCENARIOS), help=f"some of {list(SCENARIOS)}")
    return parser.parse_args()


def chosen(names: str) -> list[Scenario]:
    """Return the scenarios that `--only` names, in the order of the registry."""
    wanted = {name.strip() for name in names.split(",")}
    if unknown := wanted - set(SCENARIOS):
        raise SystemExit(f"No such scenario: {', '.join(sorted(unknown))}")
    return [scenario for name, scenario in SCENARIOS.items() if name in wanted]


def set_up(servers: Servers, plan: Plan) -> dict[str, Any]:
    """Start PostgreSQL, check that it is durable, and return a description of the environment."""
    about: dict[str, dict[str, Any]] = {
        "machine": machine.describe(servers.folder) | stores.versions(servers.postgres),
        "durability": servers.postgres.durability(),
        "gunicorn": GUNICORN,
        "plan": asdict(plan),
    }
    for title, facts in about.items():
        say(f"{title}: " + ", ".join(f"{name} {value}" for name, value in facts.items()))
    if about["machine"]["load_before"] > BUSY:
        say("NOTE: the machine was busy before the run began; the figures will be low and uneven")
    return about


def run(scenarios: list[Scenario], plan: Plan, servers: Servers) -> dict[str, report.Summary]:
    """Start the servers, measure, write the result file, and return the summaries."""
    about = set_up(servers, plan)
    for scenario in scenarios:
        servers.site(scenario.site)
    rounds = all_rounds(scenarios, servers, plan)
    summaries = {each.name: report.summary(rounds, each.name) for each in scenarios}
    report.write(about, rounds, summaries)
    return summaries


def main() -> None:
    """Measure and print; errors are shown but do not change the exit status."""
    options = arguments()
    scenarios = chosen(options.only)
    plan = Plan(options.rounds, options.requests, options.warmup, options.connections)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fugata-bench-"))
        summaries = run(scenarios, plan, Servers(Path(folder), stack))
    print(report.table(summaries))
    for note in report.notes(summaries):
        print(note)
    for complaint in report.complaints(summaries):
        print(f"INVALID {complaint}")
    print("Written: benchmarks/results/latest.json")


if __name__ == "__main__":
    main()
