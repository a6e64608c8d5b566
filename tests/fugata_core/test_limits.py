"""The table of limits: all places together leave threads for what needs none."""

import re

import pytest

from fugata_core import limits
from fugata_core.limits import (
    APART,
    BACKENDS,
    DISCARDS,
    KEY_SERVICES,
    LARGE_BODIES,
    READERS,
    REFERENCES,
    REST,
    ROW,
    Limit,
    threads_to_start,
)
from tests.support.servers.service import ROOT

WITHIN = {ROW: BACKENDS, REFERENCES: BACKENDS, KEY_SERVICES: BACKENDS, DISCARDS: LARGE_BODIES}
#: The rows of docs/design.md, by the first words of each.
DOCUMENTED = {
    "large bodies": LARGE_BODIES,
    "slow readers": READERS,
    "backends": BACKENDS,
    "of these, key services": KEY_SERVICES,
    "of these, changes of one row": ROW,
    "of these, new rows": REFERENCES,
}
ALL = range(4, 513)


def test_two_threads_are_left_whatever_is_full() -> None:
    held = {threads: sum(limit.places(threads) for limit in APART) for threads in ALL}
    assert REST == 2
    assert [n for n in ALL if threads_to_start(n) < max(held[n] + REST, n)] == []


def test_what_holds_threads_beside_each_other_is_counted() -> None:
    assert set(APART) == {LARGE_BODIES, READERS, BACKENDS}
    limits_of_the_module = {each for each in vars(limits).values() if isinstance(each, Limit)}
    assert limits_of_the_module == {limits.THREADS, *APART, *WITHIN}


@pytest.mark.parametrize("inner", WITHIN, ids=lambda limit: limit.name)
def test_places_within_places_are_no_more(inner: Limit) -> None:
    outer = WITHIN[inner]
    assert outer in APART
    assert inner not in APART
    assert all(inner.places(threads) <= outer.places(threads) for threads in ALL)


def test_key_services_never_hold_all_places_of_backends() -> None:
    assert all(KEY_SERVICES.places(threads) < BACKENDS.places(threads) for threads in ALL)


def test_nobody_gives_up_a_backend_while_others_wait_for_a_key_service() -> None:
    assert 2 * KEY_SERVICES.max_wait < BACKENDS.max_wait


def _documented() -> dict[str, list[int]]:
    """Return the numbers of each row of the table in docs/design.md, by its first words."""
    text = (ROOT / "docs" / "design.md").read_text().partition("## Threads")[2]
    rows = re.findall(r"^\| (.*?) \| .*? \| (\d+) \| (\d+) \|$", text.partition("\n## ")[0], re.M)
    return {name: [int(four), int(sixteen)] for name, four, sixteen in rows}


def test_the_documented_table_has_the_figures_of_today() -> None:
    expected = {name: [limit.places(4), limit.places(16)] for name, limit in DOCUMENTED.items()} | {
        "the rest": [threads_to_start(n) - sum(each.places(n) for each in APART) for n in (4, 16)],
        "threads started": [threads_to_start(4), threads_to_start(16)],
    }
    assert _documented() == expected


@pytest.mark.parametrize("page", ["settings", "scaling"])
def test_the_documents_say_how_many_threads_start(page: str) -> None:
    text = " ".join((ROOT / "docs" / f"{page}.md").read_text().split())
    counted = re.search(r"(\d+)(?: in all)?, and (\d+) with `WEB_THREADS=4`", text)
    assert counted
    assert counted.groups() == (str(threads_to_start(16)), str(threads_to_start(4)))


def test_the_documents_count_connections_by_the_threads_that_start() -> None:
    text = (ROOT / "docs" / "scaling.md").read_text()
    counted = re.search(r"11 pods . 2 processes . (\d+) threads\s+are (\d+)\.", text)
    assert counted
    assert counted.groups() == (str(threads_to_start(16)), str(22 * threads_to_start(16)))
