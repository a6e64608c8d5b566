"""What many live shares cost: `python -m benchmarks.scale`.

Two installations on one PostgreSQL server, identical except for the number of live shares. They
take turns in every round, and "times" is the median over the rounds of the ratio of their p50.
"""

import argparse
import contextlib
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import psycopg

from benchmarks import machine
from benchmarks.filling import fill
from benchmarks.report import Figure
from benchmarks.runner import Plan, one_round, rotated, say
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.servers import STARTERS, Servers, start_fugata

RESULT = Path(__file__).parent / "results" / "scale.json"
FEW, MANY = "few", "many"


@dataclass(frozen=True)
class Row:
    """One act: p50 and p99 in ms with few and with many live shares; errors in both."""

    act: str
    few_p50: float
    many_p50: float
    few_p99: float
    many_p99: float
    times: float
    errors: int


def scenarios() -> list[Scenario]:
    """Return the create and open scenarios for each of the two installations."""
    acts = [SCENARIOS["create"], SCENARIOS["open"]]
    return [
        replace(act, name=f"{act.name}-{site}", site=site) for act in acts for site in (FEW, MANY)
    ]


def row(act: str, rounds: Sequence[dict[str, Figure]]) -> Row:
    """Return the medians of one act."""
    pairs = [(done[f"{act}-{FEW}"], done[f"{act}-{MANY}"]) for done in rounds]
    return Row(
        act=act,
        few_p50=statistics.median(few.p50 for few, _ in pairs),
        many_p50=statistics.median(many.p50 for _, many in pairs),
        few_p99=statistics.median(few.p99 for few, _ in pairs),
        many_p99=statistics.median(many.p99 for _, many in pairs),
        times=statistics.median(many.p50 / few.p50 for few, many in pairs),
        errors=sum(sum(each.errors.values()) for pair in pairs for each in pair),
    )


def measure(servers: Servers, counts: dict[str, int], plan: Plan) -> list[Row]:
    """Fill both installations, and measure them alternately."""
    for name, count in counts.items():
        STARTERS[name] = partial(start_fugata, name=name)
        servers.site(name)
        say(f"{name}: {count:,} live shares …")
        fill(servers.postgres.url(name), count, "1 day")
        say(sizes(servers.postgres.url(name), count))
    rounds = []
    for number in range(plan.rounds):
        say(f"round {number + 1} of {plan.rounds}")
        rounds.append(one_round(rotated(scenarios(), number), servers, plan))
    return [row(act, rounds) for act in ("create", "open")]


_SIZES = """
SELECT pg_table_size('secrets_app_share') / {0}, pg_indexes_size('secrets_app_share') / {0},
       pg_total_relation_size('vault_app_storedvalue') / {0}
"""


def sizes(url: str, rows: int) -> str:
    """Return how many bytes PostgreSQL uses per share: row, indexes, value with its index."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM")
        found = connection.execute(_SIZES.format(rows).encode()).fetchone()
    assert found
    return "bytes a share: row {}, indexes {}, value of 200 bytes {}".format(*found)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table."""
    lines = ["| | p50 few | p50 many | times | p99 few | p99 many | errors |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for each in rows:
        figures = (each.few_p50, each.many_p50, each.times, each.few_p99, each.many_p99)
        cells = " | ".join(f"{number:.2f}" for number in figures)
        lines.append(f"| {each.act} | {cells} | {each.errors} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table and write the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--few", type=int, default=1_000, help="live shares in one (1000)")
    parser.add_argument("--many", type=int, default=1_000_000, help="in the other (1000000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (5)")
    parser.add_argument("--requests", type=int, default=1_500, help="requests a slice (1500)")
    parser.add_argument("--connections", type=int, default=4, help="connections (4)")
    options = parser.parse_args()
    plan = Plan(options.rounds, options.requests, 300, options.connections)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fugata-bench-")))
        say(f"machine: {machine.describe(folder)}")
        servers = Servers(folder, stack)
        rows = measure(servers, {FEW: options.few, MANY: options.many}, plan)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps([asdict(each) for each in rows], indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
