"""What goes with the deletion of a value waits for no PostgreSQL that hangs: an answer is due."""

from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError, connection

from audit_app.actors import SERVICE
from secrets_app.actions.reveal import reveal_share
from secrets_app.persistence import share_table
from tests.secrets_app.support import share
from tests.support.in_process.doubles import MemoryStore
from vault_app import values
from vault_app.models import Leftover

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(60)]


@pytest.fixture
def hang() -> Iterator[Callable[..., bool]]:
    """What a database does that hangs; its sessions are ended at last."""
    sessions = list[int]()

    def hanging(*_: object, **__: object) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            sessions.extend(cursor.fetchone())
            cursor.execute("SELECT pg_sleep(3600)")
        return False

    yield hanging
    connection.close()
    with connection.cursor() as cursor:
        cursor.executemany("SELECT pg_terminate_backend(%s, 60000)", [[each] for each in sessions])


def test_an_opened_share_is_given_out(
    remote_store: MemoryStore,
    hang: Callable[..., bool],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = share()
    monkeypatch.setattr(values, "is_deletion_held", hang)
    assert reveal_share(made.share_id, SERVICE).content == b"s3cret"
    assert "values outlive their rows until they are reconciled: " in caplog.text
    assert Leftover.objects.count() == len(remote_store.values) == 1, "with a new connection"


@pytest.mark.usefixtures("remote_store")
def test_a_request_that_failed_waits_for_no_note(
    hang: Callable[..., bool], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = share()

    def fail(*_: object) -> None:
        raise OperationalError("injected")

    monkeypatch.setattr(share_table(), "remove", fail)
    monkeypatch.setattr(Leftover.objects, "bulk_create", hang)
    with pytest.raises(OperationalError, match="injected"):
        reveal_share(made.share_id, SERVICE)
    assert "values that outlive their rows were not noted: " in caplog.text
