"""Whose turn it is to migrate: one process's at a time, and for the others not for ever."""

import errno
import fcntl
import os
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import connection

from fugata_core import turns
from fugata_core.turns import own_turn
from vault_app.keys.keyring import KeyringFile

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONGEST_WAIT", 0.0)


def assert_refused() -> None:
    with pytest.raises(CommandError, match="Another process has been preparing"), own_turn():
        pass


def test_a_turn_that_does_not_come() -> None:
    with own_turn():
        assert_refused()
    with own_turn():
        pass


def test_a_turn_ends_with_its_block() -> None:
    with pytest.raises(RuntimeError), own_turn():
        raise RuntimeError("injected")
    with own_turn():
        pass


def test_a_turn_is_held_whatever_else_is_committed() -> None:
    """Django's migrations commit one by one, and connect anew where they must."""
    with own_turn():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.close()
        assert_refused()


def test_a_folder_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Migrating says so, in its own words."""
    monkeypatch.setitem(connection.settings_dict, "NAME", tmp_path / "none" / "db.sqlite3")
    with turns._file_lock() as try_lock:
        assert try_lock()


@pytest.fixture
def in_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a database of SQLite, whatever the run's is."""
    monkeypatch.setattr(turns, "_session_lock", turns._file_lock)
    monkeypatch.setitem(connection.settings_dict, "NAME", tmp_path / "db.sqlite3")
    return tmp_path


def test_a_keyring_of_the_same_folder_is_not_waited_for(in_a_folder: Path) -> None:
    """Nor does rotate_key, which has it locked, wait for who prepares."""
    with KeyringFile(in_a_folder / "keyring").locked(), own_turn():
        assert_refused()


@pytest.mark.parametrize("code", [errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks(
    in_a_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with own_turn():
        assert caplog.messages == [f"nobody's turn is waited for: {os.strerror(code)}"]
