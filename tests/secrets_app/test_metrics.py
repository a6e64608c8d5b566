"""What happens is counted, once, by what came of it."""

import contextlib
from collections.abc import Callable

import pytest
from django.conf import settings as django_settings
from prometheus_client import REGISTRY

from audit_app.actors import Actor
from audit_app.guessing import refuse_wrong_token
from fugata_core.errors import FugataError
from secrets_app.actions.create import Draft, create_share
from secrets_app.actions.delete import delete_share
from secrets_app.actions.purge import purge_expired
from secrets_app.actions.reveal import reveal_share
from secrets_app.models import Share
from tests.support.in_process.doubles import FaultyKeys, MemoryStore

pytestmark = pytest.mark.django_db

Counts = dict[str, float]
EVENTS = ["created", "opened", "deleted", "expired", "lost_claim", "not_found", "refused", "failed"]


def counts(name: str = "fugata_shares_total") -> Counts:
    found = {
        event: REGISTRY.get_sample_value(name, {"event": event}) for event in [*EVENTS, "counted"]
    }
    return {event: value for event, value in found.items() if value is not None}


def counted(act: Callable[[], object], name: str = "fugata_shares_total") -> Counts:
    """Return what `act` added, whatever it raises that a client is told."""
    before = counts(name)
    with contextlib.suppress(FugataError):
        act()
    return {event: v - before[event] for event, v in counts(name).items() if v != before[event]}


def test_shares(actor: Actor) -> None:
    made = create_share(Draft("s", "1h", one_time=True), actor)
    assert counted(lambda: create_share(Draft("s", "1h"), actor)) == {"created": 1}
    assert counted(lambda: create_share(Draft("", "1h"), actor)) == {"refused": 1}
    assert counted(lambda: delete_share(made.share_id, "tok_" + "x" * 22, actor)) == {"refused": 1}
    assert counted(lambda: reveal_share(made.share_id, actor)) == {"opened": 1}
    assert counted(lambda: reveal_share(made.share_id, actor)) == {"not_found": 1}
    other = create_share(Draft("s", "1h"), actor)
    assert counted(lambda: delete_share(other.share_id, other.deletion_token, actor)) == {
        "deleted": 1
    }


def test_a_lost_claim(actor: Actor, remote_store: MemoryStore) -> None:
    made = create_share(Draft("s", "1h", one_time=True), actor)

    def somebody_is_faster() -> None:
        Share.objects.all().delete()

    remote_store.before["get"] = somebody_is_faster
    assert counted(lambda: reveal_share(made.share_id, actor)) == {"lost_claim": 1}


def test_failures(actor: Actor, remote_store: MemoryStore) -> None:
    made = create_share(Draft("s", "1h"), actor)
    remote_store.failing = {"get", "put"}
    assert counted(lambda: reveal_share(made.share_id, actor)) == {"failed": 1}
    assert counted(lambda: create_share(Draft("s", "1h"), actor)) == {"failed": 1}


def test_expiry(actor: Actor) -> None:
    from datetime import timedelta

    from django.db.models.functions import Now

    for _ in range(3):
        create_share(Draft("s", "1h"), actor)
    Share.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert counted(lambda: list(purge_expired(batch=2))) == {"expired": 3}


@pytest.mark.usefixtures("frozen_guesses")
def test_guesses(actor: Actor) -> None:
    name = "fugata_wrong_guesses_total"
    assert counted(lambda: refuse_wrong_token(actor, well_formed=False), name) == {}
    most = int(django_settings.GUESS_RATE.partition("/")[0])
    for _ in range(most):
        assert counted(lambda: refuse_wrong_token(actor, well_formed=True), name) == {"counted": 1}
    assert counted(lambda: refuse_wrong_token(actor, well_formed=True), name) == {"refused": 1}


def calls(part: str, backend: str, operation: str) -> float:
    labels = {"part": part, "backend": backend, "operation": operation}
    name = "fugata_backend_call_duration_seconds_count"
    return REGISTRY.get_sample_value(name, labels) or 0


def errors(part: str, backend: str, operation: str, error: str) -> float:
    labels = {"part": part, "backend": backend, "operation": operation, "error": error}
    return REGISTRY.get_sample_value("fugata_backend_errors_total", labels) or 0


def test_calls_of_the_store(actor: Actor, remote_store: MemoryStore) -> None:
    before = [calls("store", "MemoryStore", name) for name in ("put", "get", "delete")]
    made = create_share(Draft("s", "1h", one_time=True), actor)
    reveal_share(made.share_id, actor)
    after = [calls("store", "MemoryStore", name) for name in ("put", "get", "delete")]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]


def test_errors_of_the_store(actor: Actor, remote_store: MemoryStore) -> None:
    remote_store.failing = {"put"}
    before = errors("store", "MemoryStore", "put", "StoreUnavailable")
    with pytest.raises(FugataError):
        create_share(Draft("s", "1h"), actor)
    assert errors("store", "MemoryStore", "put", "StoreUnavailable") == before + 1


def test_a_listing_is_one_call_to_its_end(remote_store: MemoryStore) -> None:
    from vault_app.backends import value_store

    value_store().put("a", b"x")
    before = calls("store", "MemoryStore", "list")
    listing = value_store().list()
    assert next(iter(listing)).name == "a"
    assert [*listing] == []
    assert calls("store", "MemoryStore", "list") == before + 1


def test_calls_of_the_keys(actor: Actor, faulty_keys: FaultyKeys) -> None:
    before = calls("keys", "FaultyKeys", "wrap")
    create_share(Draft("s", "1h"), actor)
    assert calls("keys", "FaultyKeys", "wrap") == before + 1
