"""Files that are their owner's alone, whatever the umask is, and that no link leads elsewhere."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import connection

from fugata_core import turns
from fugata_core.files import create_private, file_lock, replace_file
from fugata_core.sqlite.base import DatabaseWrapper
from fugata_server import heartbeat
from tests.conftest import Require


@pytest.fixture(autouse=True)
def without_umask() -> Iterator[None]:
    """Have files made with all the rights that the code gives them."""
    before = os.umask(0)
    yield
    os.umask(before)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def connected(path: Path) -> closing[sqlite3.Connection]:
    """Return a connection as Django makes one."""
    of_file = {"ENGINE": "fugata_core.sqlite", "NAME": str(path), "OPTIONS": {}}
    wrapper = DatabaseWrapper(connection.settings_dict | of_file)
    return closing(wrapper.get_new_connection(wrapper.get_connection_params()))


def test_sqlite_s_files(tmp_path: Path) -> None:
    """Its log and its shared memory too."""
    with connected(tmp_path / "db") as session:
        session.execute("PRAGMA journal_mode=WAL")
        session.execute("CREATE TABLE one (id)")
        files = {each.name: rights(each) for each in tmp_path.iterdir()}
    assert files == dict.fromkeys(("db", "db-wal", "db-shm"), 0o600)


def test_one_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.touch(mode=0o640)
    with connected(path):
        assert rights(path) == 0o640


def test_a_link_to_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    """SQLite follows it."""
    (tmp_path / "link").symlink_to(tmp_path / "db")
    with connected(tmp_path / "link"):
        assert rights(tmp_path / "db") == 0o600


def test_what_is_there_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        create_private(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_the_file_of_turns_is_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "NAME", tmp_path / "db")
    (tmp_path / "db.turn").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CommandError, match=r"db\.turn is a link"), turns._file_lock():
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("beside", ["head", "."], ids=["a file", "its folder"])
def test_a_lock_of_root_s_is_the_service_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    """A command of root's may come first: the service has to open what it left."""
    (tmp_path / beside).touch()
    owner, given = (tmp_path / beside).stat(), list[tuple[int, int]]()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _, user, group: given.append((user, group)))
    with file_lock(tmp_path / "head", 0):
        assert given == [(owner.st_uid, owner.st_gid)]
        assert rights(tmp_path / "head.lock") == 0o600


def test_a_lock_is_no_link(tmp_path: Path) -> None:
    """Whoever may write to the folder could have a file made, or given away, elsewhere."""
    (tmp_path / "head.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), file_lock(tmp_path / "head", 0):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("beside", ["head", "."], ids=["a file", "its folder"])
def test_what_root_replaces_is_the_service_s(tmp_path: Path, require: Require, beside: str) -> None:
    """Also what was not there before: the worker has to read what root's `audit` kept."""
    require("root, to give files away", os.geteuid() == 0)
    (tmp_path / beside).touch()
    os.chown(tmp_path / beside, 65534, 65533)
    replace_file(tmp_path / "head", b"new")
    made = (tmp_path / "head").stat()
    assert (made.st_uid, made.st_gid) == (65534, 65533)
    assert rights(tmp_path / "head") == 0o600
    assert (tmp_path / "head").read_bytes() == b"new"


def test_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUGATA_HOME", str(tmp_path))
    file = tmp_path / "worker-heartbeat"
    heartbeat.touch()
    assert rights(file) == 0o600
    os.utime(file, (0, 0))
    heartbeat.touch()
    assert heartbeat.main() == 0
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        heartbeat.touch()
    assert not (tmp_path / "elsewhere").exists()
