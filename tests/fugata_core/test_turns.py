"""Whose turn it is to migrate: one process's at a time, and for the others not for ever."""

from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import connection

from fugata_core import turns
from fugata_core.turns import own_turn

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
    with turns._folder_lock() as try_lock:
        assert try_lock()
