"""What goes with the deletion of a value waits for no PostgreSQL that hangs: an answer is due."""

import pytest
from django.db import connection

from audit_app.actors import SERVICE
from secrets_app.actions.reveal import reveal_share
from tests.secrets_app.support import share
from tests.support.in_process.doubles import MemoryStore
from vault_app import values
from vault_app.models import Leftover

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(60)]


def sleep() -> bool:
    connection.cursor().execute("SELECT pg_sleep(3600)")
    return False


def test_an_opened_share_is_given_out(
    remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = share()
    monkeypatch.setattr(values, "is_deletion_held", sleep)
    assert reveal_share(made.share_id, SERVICE).content == b"s3cret"
    assert "values outlive their rows until they are reconciled: " in caplog.text
    assert Leftover.objects.count() == len(remote_store.values) == 1, "with a new connection"
