"""A back-up taken from one running service is restored on a machine that has none."""

import shutil
import sys
from pathlib import Path

import psycopg

from tests.conftest import MakeService
from tests.processes.test_prepare import WAITERS
from tests.support.clients import stored
from tests.support.clients.sharing import create, open_share
from tests.support.servers.parts import wait_until
from tests.support.servers.service import Service, running


def test_a_new_machine_goes_on_where_the_old_one_ended(
    make_service: MakeService, tmp_path: Path
) -> None:
    old, new = make_service(), make_service(start=False)
    share, archive = create(old.port, "carried over"), tmp_path / "fugata.tar"
    old.manage("backup", str(archive))
    assert old.stop() == 0
    new.home.mkdir(mode=0o755)
    for name in ("keyring", "secret_key", "audit_key"):
        shutil.copy(old.home / name, new.home)
    new.manage("restore", str(archive), "--keep-one-time")
    assert (new.home / "fugata.sqlite3").stat().st_mode & 0o777 == 0o600
    new.start()
    assert open_share(new.port, share).json()["content"] == "carried over"
    assert "verified" in new.manage("audit", "verify").stdout


def test_two_at_once_take_turns(make_service: MakeService, tmp_path: Path) -> None:
    """Nothing of the second one gets in: it finds what the first one restored."""
    old, new = make_service(), make_service("postgresql", start=False)
    archive, other = tmp_path / "fugata.tar", Service(new.home, **new.settings)
    other.log = tmp_path / "other.log"
    create(old.port, "carried over")
    old.manage("backup", str(archive))
    new.manage("migrate")
    restore = [sys.executable, "manage.py", "restore", str(archive), "--keep-one-time"]
    with psycopg.connect(new.settings["DATABASE_URL"]) as blocking:
        blocking.execute("LOCK TABLE secrets_app_share IN SHARE MODE")
        with running(new, restore) as first:
            wait_until(lambda: stored.query(new, WAITERS)[0][0] == 1, "rows that can't go yet")
            with running(other, restore) as second:
                wait_until(lambda: "is waited for" in other.logged(), "one that waits its turn")
                blocking.rollback()
                assert (first.wait(60), second.wait(60)) == (0, 1)
    assert "Nothing was restored: This installation has " in other.logged()
    assert stored.count(new, "secrets_app_share") == 1
