"""A failure while a share is opened consumes nothing: it opens once the fault is gone."""

import pytest
from django.db import OperationalError
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from fugata_core import tokens
from secrets_app.actions.delete import delete_share
from secrets_app.actions.reveal import reveal_share
from secrets_app.errors import DecryptFailed, ShareNotFound
from secrets_app.models import Share
from tests.secrets_app.support import expire, kinds, row_of, share
from tests.support.in_process.doubles import FaultyKeys, MemoryStore
from tests.support.in_process.keys import use_keys
from vault_app.backends import value_store

pytestmark = pytest.mark.django_db

both_kinds = pytest.mark.parametrize("one_time", [True, False])


def assert_fails(share_id: str) -> None:
    with pytest.raises(DecryptFailed) as raised:
        reveal_share(share_id, SERVICE)
    assert (raised.value.status, raised.value.sentence) == (500, "Failed to decrypt secret")
    happened = kinds(tokens.digest(share_id))
    assert happened[0] == "created"
    assert set(happened[1:]) == {"open failed"}


@both_kinds
def test_the_key_provider_fails(faulty_keys: FaultyKeys, one_time: bool) -> None:
    created = share("s3cret", one_time=one_time)
    faulty_keys.failing = {"unwrap"}
    for _ in range(3):
        assert_fails(created.share_id)
    faulty_keys.failing = set()
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


@both_kinds
def test_the_store_fails(remote_store: MemoryStore, one_time: bool) -> None:
    created = share("s3cret", one_time=one_time)
    remote_store.failing = {"get"}
    for _ in range(3):
        assert_fails(created.share_id)
    remote_store.failing = set()
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


def test_the_key_is_not_at_hand(settings: Settings) -> None:
    created, ring = share("s3cret"), settings.FUGATA_KEYS
    use_keys(settings, "other:" + "B" * 43 + "=")
    assert_fails(created.share_id)
    use_keys(settings, f"other:{'B' * 43}=,{ring}")
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


def test_the_value_is_damaged(remote_store: MemoryStore) -> None:
    created = share("s3cret")
    name = row_of(created).value_name
    whole = remote_store.values[name]
    remote_store.values[name] = whole[:-1] + bytes([whole[-1] ^ 1])
    assert_fails(created.share_id)
    remote_store.values[name] = whole
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


def test_the_value_is_missing_with_its_row_there(remote_store: MemoryStore) -> None:
    created = share("s3cret")
    name = row_of(created).value_name
    sealed = remote_store.values.pop(name)
    assert_fails(created.share_id)
    remote_store.values[name] = sealed
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


def test_the_value_is_missing_from_the_store_in_use() -> None:
    created = share("s3cret")
    store, name = value_store(), row_of(created).value_name
    sealed = store.get(name)
    store.delete(name)
    assert_fails(created.share_id)
    store.put(name, sealed)
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


@pytest.mark.parametrize("how", ["opened", "deleted", "expired"])
def test_the_row_goes_while_the_value_is_fetched(remote_store: MemoryStore, how: str) -> None:
    """Another reader was faster: that is a 404, not a failure."""
    created = share("s3cret")

    def end() -> None:
        remote_store.before.clear()
        if how == "opened":
            reveal_share(created.share_id, SERVICE)
        elif how == "deleted":
            delete_share(created.share_id, created.deletion_token, SERVICE)
        else:
            expire(created)
            remote_store.values.clear()

    remote_store.before["get"] = end
    with pytest.raises(ShareNotFound):
        reveal_share(created.share_id, SERVICE)


@both_kinds
def test_the_row_goes_between_the_value_and_the_claim(
    remote_store: MemoryStore, faulty_keys: FaultyKeys, one_time: bool
) -> None:
    """A reader who does not get the claim drops the plaintext."""
    created = share("s3cret", one_time=one_time)
    sealed = dict(remote_store.values)

    def end() -> None:
        delete_share(created.share_id, created.deletion_token, SERVICE)
        remote_store.values |= sealed

    remote_store.before["get"] = end
    with pytest.raises(ShareNotFound):
        reveal_share(created.share_id, SERVICE)
    assert "unwrap" in faulty_keys.calls
    assert kinds(tokens.digest(created.share_id)) == ["created", "deleted"]


def test_the_value_is_deleted_after_the_claim(remote_store: MemoryStore) -> None:
    created = share("s3cret")
    rows_left: list[int] = []
    remote_store.before["delete"] = lambda: rows_left.append(Share.objects.count())
    reveal_share(created.share_id, SERVICE)
    assert remote_store.calls == ["put", "get", "delete"]
    assert rows_left == [0]
    assert remote_store.values == {}


def test_a_delete_that_fails_does_not_change_the_answer(remote_store: MemoryStore) -> None:
    created = share("s3cret")
    remote_store.failing = {"delete"}
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"
    assert len(remote_store.values) == 1
    with pytest.raises(ShareNotFound):
        reveal_share(created.share_id, SERVICE)


def test_a_share_that_stays_keeps_its_value(remote_store: MemoryStore) -> None:
    created = share("s3cret", one_time=False)
    for _ in range(2):
        assert reveal_share(created.share_id, SERVICE).content == b"s3cret"
    assert remote_store.calls == ["put", "get", "get"]


def test_a_database_that_fails_after_the_claim(
    remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The share is this reader's by then; its value is left to reconciliation."""
    created = share("s3cret")

    def fail() -> bool:
        raise OperationalError("connection to fugata:p4ssword@db failed")

    monkeypatch.setattr("vault_app.values.is_deletion_held", fail)
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"
    assert len(remote_store.values) == 1
    assert "until they are reconciled: OperationalError" in caplog.text
    assert "p4ssword" not in caplog.text
