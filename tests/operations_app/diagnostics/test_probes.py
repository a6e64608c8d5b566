"""The probes of the database: what can only be read, is full, or fails requests is not well."""

import math
import os

import pytest
from django.db import connection
from django.test import Client

from fugata_core import failing_requests
from fugata_core.database_failures import ReadOnlyDatabase
from fugata_core.failing_requests import full_disk
from operations_app.diagnostics.probes import (
    RequestsFail,
    probe_database,
    probe_requests,
    probe_writes,
)
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


def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so much time pass that what failed last is over."""
    monkeypatch.setattr(failing_requests, "QUIET", -math.inf)  # however long that took


def test_a_disk_that_was_full_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once requests no longer meet it, until there is room; else nothing is."""
    full_disk.add("POST")
    with pytest.raises(StoreUnavailable):
        probe_writes()
    quiet(monkeypatch)
    probe_writes()
    assert not full_disk
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


BODY = {"content": "x" * 100_000, "duration": "1h"}


def create(client: Client, status: int) -> None:
    answer = client.post("/secrets", BODY, "application/json")
    assert answer.status_code == status


@pytest.mark.usefixtures("database_store")
def test_a_full_disk_is_not_well_until_there_is_room(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_for_want_of_room()
    try:
        create(client, 503)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                probe_writes()
            quiet(monkeypatch)  # now it tries
    finally:
        make_room()
    probe_writes()
    create(client, 201)
    assert not full_disk


@pytest.mark.usefixtures("database_store")
def test_room_for_a_request_is_enough(client: Client) -> None:
    refuse_for_want_of_room()
    try:
        create(client, 503)
    finally:
        make_room()
    create(client, 201)
    probe_writes()


def take_away() -> None:
    """Have the database fail what requests ask of it."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE secrets_app_share RENAME TO elsewhere")


def give_back() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE elsewhere RENAME TO secrets_app_share")


def test_requests_that_fail_in_a_row_are_not_well(client: Client) -> None:
    take_away()
    try:
        for _ in range(failing_requests.MAX_FAILED):
            probe_requests()
            create(client, 500 if connection.vendor == "postgresql" else 503)
        probe_database()
        with pytest.raises(RequestsFail):
            probe_requests()
    finally:
        give_back()
    create(client, 201)
    probe_requests()
