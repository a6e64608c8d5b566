"""Everything fails once, under load: nothing acknowledged is lost, and all is back by itself.

The tests of this file are one story, told in its order, on one installation.
"""

import os
import random
import re
import time
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import Require
from tests.faults.conftest import Scene
from tests.support.faults.outages import faults
from tests.support.servers.installation import SHORT_LIVED, Part
from tests.support.servers.parts import plain_http, wait_until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]

NAMES = (
    [
        f"{part}: {how}"
        for part in ("web", "another web", "worker", "beat", "redis", "postgresql", "api server",
                     "etcd")
        for how in ("killed", "stopped", "restarted")
    ]
    + [f"{web}: {whose} {how}" for web in ("web", "another web")
       for whose in ("its master", "a worker") for how in ("killed", "stopped")]
    + ["postgresql: its disk full", "postgresql: read-only"]
    + [f"the way to {server}: {how}" for server in ("postgresql", "redis", "api server")
       for how in ("reset", "cut", "hanging", "slow")]
)  # fmt: skip


def undergo(scene: Scene, name: str) -> None:
    """Let that fault come and go, and see that the service is back by itself."""
    fault = next(f for f in faults(scene.installation, scene.disk) if f.name == name)
    scene.load.await_more(5)
    fault.begin()
    time.sleep(fault.lasts)  # the fault itself
    fault.end()
    scene.installation.wait_until_well()
    scene.load.await_more(5)
    assert scene.load.ledger.complaints == []
    parts = scene.installation.parts.values()
    assert [part.name for part in parts if part.memory() > part.ceiling()] == []


def test_all_faults_are_here(scene: Scene) -> None:
    assert {fault.name for fault in faults(scene.installation, scene.disk)} == set(NAMES)


def test_a_full_disk_refuses(scene: Scene) -> None:
    """That there is no room is felt: what can't be kept is not acknowledged."""

    def refused() -> int:
        return scene.load.ledger.outcomes["no create"] + scene.load.ledger.outcomes["no change"]

    fault = next(f for f in faults(scene.installation, scene.disk) if "full" in f.name)
    before = refused()
    fault.begin()
    try:
        wait_until(lambda: refused() > before, "a refusal", 60)
    finally:
        fault.end()
    scene.installation.wait_until_well()
    assert scene.load.ledger.complaints == []


@pytest.mark.parametrize("name", NAMES)
def test_a_fault(scene: Scene, name: str) -> None:
    undergo(scene, name)


# --- The clock -----------------------------------------------------------------------------------


def _library(require: Require) -> str:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    require("libfaketime (Debian: apt install libfaketime)", found)
    return str(found[0])


@pytest.mark.parametrize("offset", ["+40m", "-40m"])
def test_a_clock_that_jumps(scene: Scene, require: Require, offset: str) -> None:
    """A share ends by the database's clock, whatever the clock of a web process says."""
    webs, library = scene.installation.webs(), _library(require)
    before = _share(webs[0])
    _restart(scene, webs[1], {"LD_PRELOAD": library, "FAKETIME": offset})
    try:
        dates = {plain_http.get(f"{web.url}/livez").headers["Date"][:22] for web in webs}
        assert len(dates) == 2, "its clock is another"
        after = _share(webs[1])
        urls = [f"{web.url}/secrets/{one}" for web in webs for one in (before, after)]
        assert [plain_http.get(url).status_code for url in urls] == [200] * 4, "before its end"
        short = _share(webs[1], SHORT_LIVED)
        for web in webs:
            wait_until(partial(_is_gone, f"{web.url}/secrets/{short}"), "its end", 30)
        scene.load.await_more(100)
        assert scene.load.ledger.complaints == []
    finally:
        _restart(scene, webs[1], {})


def _share(web: Part, duration: str = "1h") -> str:
    fields = {"content": "in time", "duration": duration, "one_time": False}
    return str(plain_http.post(f"{web.url}/secrets", json=fields, timeout=30).json()["id"])


def _is_gone(url: str) -> bool:
    return plain_http.get(url).status_code == 404


def _restart(scene: Scene, web: Part, extra: dict[str, str]) -> None:
    web.stop()
    web.extra = extra
    web.start()
    scene.installation.wait_until_well()


# --- At random, for `make soak` ------------------------------------------------------------------


def test_faults_at_random(scene: Scene, minutes: float, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("FUGATA_FAULT_SEED") or random.randrange(2**32))
    choice, end = random.Random(seed), time.monotonic() + 60 * minutes
    with capsys.disabled():
        print(f"\nfaults at random for {minutes:g} minutes, seed {seed}", flush=True)
    for number in range(10**6):
        if number >= 2 and time.monotonic() > end:
            return
        name = choice.choice(NAMES)
        with capsys.disabled():
            print(f"  {number + 1}: {name} ({dict(scene.load.ledger.outcomes)})", flush=True)
        undergo(scene, name)


# --- Failover ------------------------------------------------------------------------------------


def _is_unhealthy(web: Part) -> bool:
    return plain_http.get(f"{web.url}/healthz").status_code == 503


def test_a_failover_to_a_synchronous_standby(scene: Scene) -> None:
    """What was acknowledged is on the standby: the first server is gone for good.

    The standby is there, and read-only, before it is promoted.
    """
    at = scene.installation
    at.postgresql.add_standby()
    scene.load.await_more(100)
    at.postgresql.kill()
    at.to_postgresql.cut()
    at.to_postgresql.target = at.postgresql.standby_socket
    at.to_postgresql.heal()
    for web in at.webs():
        wait_until(partial(_is_unhealthy, web), f"{web.name} to say that it can't write")
    at.postgresql.promote()
    at.wait_until_well()
    scene.load.await_more(100)
    assert scene.load.ledger.complaints == []


# --- Afterwards ----------------------------------------------------------------------------------


def test_the_ledger_holds(scene: Scene) -> None:
    at, load = scene.installation, scene.load
    load.stop()
    load.settle(at.parts["web"].url, scene.place, scene.token)
    outcomes = load.ledger.outcomes
    assert outcomes["done"] > 50, outcomes
    assert [record for record in at.records() if "Traceback" in record and not _ack(record)] == []


def _ack(record: str) -> bool:
    """Return whether that is Celery's own, of a Redis that went while a task was acknowledged."""
    return bool(re.match(r"\S+ \S+ CRITICAL celery\.worker\.request: Couldn't ack .*Conn", record))


def test_expired_shares_go(scene: Scene) -> None:
    """The worker, after all it went through, does what it is told to."""
    rows = "SELECT count(*) FROM secrets_app_share WHERE expires_at <= now()"

    def are_gone() -> bool:
        return scene.installation.query(rows) == [(0,)]

    scene.installation.send_task("purge_expired")
    wait_until(are_gone, "the purge", seconds=60)


def test_no_orphan_is_left(scene: Scene) -> None:
    at = scene.installation
    at.kubernetes.age(at.namespace)
    # Values that are in doubt are noted to be deleted a day later.
    at.query("UPDATE vault_app_leftover SET since = since - interval '2 days' RETURNING 1")
    at.operator.manage("reconcile_values", "--force")
    ((shares,),) = at.query("SELECT count(*) FROM secrets_app_share")
    ((kept,),) = at.query("SELECT count(*) FROM repositories_app_repositorysecret")
    assert len(at.kubernetes.names(at.namespace)) == int(str(shares)) + int(str(kept))


def test_the_trail_is_whole(scene: Scene) -> None:
    scene.installation.operator.manage("audit", "seal")
    scene.installation.operator.manage("audit", "verify")
