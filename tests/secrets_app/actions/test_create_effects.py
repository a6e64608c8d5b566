"""Creating with a remote store: the value comes first, and a failure leaves no row behind."""

from typing import cast

import pytest
from django.db import IntegrityError

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from secrets_app.actions.create import Draft, create_share
from secrets_app.actions.reveal import reveal_share
from secrets_app.errors import EncryptFailed
from secrets_app.models import Share
from tests.secrets_app.support import row_of, share
from tests.support.in_process.doubles import FaultyKeys, MemoryStore
from vault_app.models import StoredValue

pytestmark = pytest.mark.django_db


def assert_nothing_kept() -> None:
    assert Share.objects.count() == StoredValue.objects.count() == AuditEvent.objects.count() == 0


def test_the_value_is_put_before_the_row(remote_store: MemoryStore) -> None:
    remote_store.before["put"] = assert_nothing_kept
    created = share("s3cret")
    assert remote_store.calls == ["put"]
    assert list(remote_store.values) == [row_of(created).value_name]
    assert StoredValue.objects.count() == 0
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


def test_a_store_that_fails_leaves_no_row(remote_store: MemoryStore) -> None:
    remote_store.failing = {"put"}
    with pytest.raises(EncryptFailed) as raised:
        share()
    assert (raised.value.status, raised.value.sentence) == (500, "Failed to encrypt secret")
    assert_nothing_kept()
    remote_store.failing = set()
    assert reveal_share(share("after").share_id, SERVICE).content == b"after"


def test_a_key_provider_that_fails_leaves_nothing(
    faulty_keys: FaultyKeys, remote_store: MemoryStore
) -> None:
    faulty_keys.failing = {"wrap"}
    with pytest.raises(EncryptFailed):
        share()
    assert_nothing_kept()
    assert remote_store.values == {}
    faulty_keys.failing = set()
    share()


@pytest.mark.django_db(transaction=True)
def test_a_row_that_is_refused_leaves_no_value(remote_store: MemoryStore) -> None:
    """Where it is not known whether one was written, the value stays (test_doubts.py)."""
    unwritable = Actor(request_id=cast(str, None))
    with pytest.raises(IntegrityError):
        create_share(Draft("s", "1h"), unwritable)
    assert remote_store.values == {}


@pytest.mark.usefixtures("database_store")
def test_values_in_the_database_are_written_with_the_row() -> None:
    created = share()
    assert StoredValue.objects.get().name == row_of(created).value_name


@pytest.mark.django_db(transaction=True)
def test_no_remote_call_holds_a_transaction(remote_store: MemoryStore) -> None:
    created = share()
    reveal_share(created.share_id, SERVICE)
    assert remote_store.calls == ["put", "get", "delete"]
    assert remote_store.inside_a_transaction == [False] * 3
