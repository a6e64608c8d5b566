"""The probe of the database: what can only be read is not well, and is left."""

import os

import pytest
from django.db import connection

from fugata_core.errors import ReadOnlyDatabase
from operations_app.diagnostics.probes import probe_database
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
