"""The probe of the database: what can only be read is not well, and is left."""

import os

import pytest
from django.db import connection
from django.test import Client

from fugata_core.database_failures import ReadOnlyDatabase, disk_full
from operations_app.diagnostics.probes import probe_database, probe_writes
from vault_app.errors import StoreUnavailable
from vault_app.models import StoredValue

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_database_that_can_be_written_to() -> None:
    probe_database()
    assert connection.connection is not None
    assert not StoredValue.objects.exists()


def forbid_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this session read-only, or the file, as a system does that was mounted so."""
    if connection.vendor == "sqlite":
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        return
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")


def test_one_that_can_only_be_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        forbid_writing(patched)
        with pytest.raises(ReadOnlyDatabase):
            probe_database()
        assert connection.connection is None
    probe_database()


def test_a_disk_that_was_full_is_written_to() -> None:
    """Nothing is written while all is well; then until there is room."""
    disk_full.set()
    probe_writes()
    assert not disk_full.is_set()
    assert not StoredValue.objects.exists()


def refuse_for_want_of_room() -> None:
    """SQLite takes no further page, as on a full disk; PostgreSQL's server says so."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("VACUUM")  # no page is free
            cursor.execute("PRAGMA page_count")
            cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0]}")
        else:
            cursor.execute(_REFUSE)


def make_room() -> None:
    with connection.cursor() as cursor:
        enough = "PRAGMA max_page_count = 1000000000"
        cursor.execute(enough if connection.vendor == "sqlite" else "DROP FUNCTION no_room CASCADE")


_REFUSE = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER no_room BEFORE INSERT ON vault_app_storedvalue EXECUTE FUNCTION no_room();
"""


@pytest.mark.usefixtures("database_store")
def test_a_full_disk_is_not_well_until_there_is_room(client: Client) -> None:
    body = {"content": "x" * 100_000, "duration": "1h"}
    refuse_for_want_of_room()
    try:
        refused = client.post("/secrets", body, "application/json")
        assert (refused.status_code, refused.json()) == (503, {"error": "Database unavailable"})
        with pytest.raises(StoreUnavailable):
            probe_writes()
    finally:
        make_room()
    probe_writes()
    assert not disk_full.is_set()
    assert client.post("/secrets", body, "application/json").status_code == 201
