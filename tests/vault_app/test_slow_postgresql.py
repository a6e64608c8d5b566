"""What goes with the deletion of a value waits for no PostgreSQL that hangs: an answer is due."""

from collections.abc import Iterator

import pytest
from django.db import connection

from audit_app.actors import SERVICE
from secrets_app.actions.reveal import reveal_share
from tests.secrets_app.support import share
from tests.support.in_process.doubles import MemoryStore
from vault_app import values
from vault_app.models import Leftover

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(60)]


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database that does not say whether deletions are held; its sessions are ended at last."""
    sessions = list[int]()

    def hang() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            sessions.extend(cursor.fetchone())
            cursor.execute("SELECT pg_sleep(3600)")
        return False

    monkeypatch.setattr(values, "is_deletion_held", hang)
    yield
    with connection.cursor() as cursor:
        cursor.executemany("SELECT pg_terminate_backend(%s, 60000)", [[each] for each in sessions])


@pytest.mark.usefixtures("hanging")
def test_an_opened_share_is_given_out(
    remote_store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    made = share()
    assert reveal_share(made.share_id, SERVICE).content == b"s3cret"
    assert "values outlive their rows until they are reconciled: " in caplog.text
    assert Leftover.objects.count() == len(remote_store.values) == 1, "with a new connection"
