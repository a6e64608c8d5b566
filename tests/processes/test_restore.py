"""A back-up taken from one running service is restored on a machine that has none."""

import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from pytest_django.fixtures import Settings

from operations_app.backups.archive import Manifest, Writer
from tests.conftest import MakeService
from tests.operations_app.backups.archives import with_superuser
from tests.processes.test_prepare import WAITERS
from tests.support.clients import stored
from tests.support.clients.sharing import create, open_share
from tests.support.servers.parts import PostgresqlServer, wait_until
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
    new.settings["AUDIT_KEY"] = (old.home / "audit_key").read_text().strip()
    new.settings["FUGATA_KEYS"] = (old.home / "keyring").read_text().strip()
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


#: The exit status for each signal.
SIGNALS = {signal.SIGTERM: 143, signal.SIGINT: 130}


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT reach new processes: who runs these tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_leaves_no_hold_and_no_draft(
    make_service: MakeService, tmp_path: Path, number: signal.Signals
) -> None:
    """Of a back-up and of a restore, each in the midst of its rows."""
    service = make_service("postgresql", start=False)
    service.manage("migrate")
    folder = tmp_path / "archives"
    folder.mkdir()
    archive, more = str(folder / "fugata.tar"), str(folder / "more.tar")
    service.manage("backup", archive)
    for lock, *arguments in (("ACCESS EXCLUSIVE", "backup", more), ("SHARE", "restore", archive)):
        with psycopg.connect(service.settings["DATABASE_URL"]) as blocking:
            blocking.execute(f"LOCK TABLE secrets_app_share IN {lock} MODE".encode())
            with running(service, [sys.executable, "manage.py", *arguments]) as process:
                wait_until(lambda: stored.query(service, WAITERS)[0][0] == 1, "one that waits")
                assert stored.count(service, "vault_app_deletionhold") == 1
                process.send_signal(number)
                assert process.wait(30) == SIGNALS[number]
        assert stored.count(service, "vault_app_deletionhold") == 0
        assert [each.name for each in folder.iterdir()] == ["fugata.tar"]
    assert service.logged().strip() == "No row was changed."


def empty_archive(file: Path, **migrations: str) -> str:
    """Write a back-up without rows; return its path."""
    with Writer(file, Manifest("2026-01-31T00:00:00Z", migrations, "sqlite", "store")):
        return str(file)


def test_a_file_that_is_none_of_ours_is_refused_before_anything_is_done(
    make_service: MakeService, tmp_path: Path, settings: Settings
) -> None:
    """A database that was migrated could not be restored into by the version that it is of."""
    service = make_service(start=False, AUDIT_KEY=settings.AUDIT_KEY)
    service.home.mkdir()
    other = empty_archive(tmp_path / "other.tar", secrets_app="9999_later")
    for file, why in (
        (str(tmp_path / "missing.tar"), "there is no such file"),
        (other, "the back-up was made by another version (migrations of secrets_app differ)"),
    ):
        ended = service.manage("restore", file, check=False)
        assert ended.returncode == 1
        assert "Nothing was restored: " in ended.stderr
        assert why in ended.stderr
        assert not (service.home / "fugata.sqlite3").exists()


def test_what_was_forged_is_refused_before_anything_is_done(
    make_service: MakeService, tmp_path: Path
) -> None:
    """On a new machine that has made an AUDIT_KEY of its own, and on one that has the right one."""
    old, new = make_service(start=False), make_service(start=False)
    archive = tmp_path / "fugata.tar"
    old.manage("migrate")
    old.manage("createsuperuser", "--noinput", "--username", "root", "--email", "root@example.com")
    old.manage("backup", str(archive))
    with_superuser(archive, "mallory")
    for why in ("was signed with another AUDIT_KEY", "was changed after it was written"):
        ended = new.manage("restore", str(archive), check=False)
        assert ended.returncode == 1
        assert f"Nothing was restored: the back-up {why}" in ended.stderr
        assert not (new.home / "fugata.sqlite3").exists()
        shutil.copy(old.home / "audit_key", new.home)
    restored = new.manage("restore", str(archive), "--without-signature")
    assert "It brought these superusers: 'root', 'mallory'." in restored.stderr


def test_an_encoding_that_lacks_characters_is_refused_before_anything_is_done(
    make_service: MakeService, postgresql: PostgresqlServer, tmp_path: Path, settings: Settings
) -> None:
    server = urlsplit(postgresql.new_database())
    with psycopg.connect(server.geturl(), autocommit=True) as session:
        session.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    url = server._replace(path="/latin").geturl()
    service = make_service(DATABASE_URL=url, AUDIT_KEY=settings.AUDIT_KEY, start=False)
    ended = service.manage("restore", empty_archive(tmp_path / "b.tar"), check=False)
    assert ended.returncode == 1
    assert "encoding must be UTF8" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert stored.query(service, stored._TABLES) == []
