"""Places for calls of key services: of requests alone, few, and refused at once where all hang."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from audit_app.models import AuditEvent
from fugata_core import limits
from fugata_core.errors import Overloaded
from fugata_core.limits import KEY_SERVICES, Bulkhead, bulkhead
from repositories_app.models import RepositorySecret
from secrets_app.models import Share
from tests.repositories_app.support import Api, content, people, token_of
from tests.secrets_app.support import share
from tests.support.in_process.doubles import FaultyKeys, MemoryStore, backend
from vault_app import envelope
from vault_app.associated_data import AssociatedData
from vault_app.backends import key_provider, reset_backends
from vault_app.errors import DecryptionFailed, KeyUnavailable
from vault_app.key_places import serving_request

BOUND_TO = AssociatedData(b"purpose", b"subject")
OVERLOADED = {"error": "Service is overloaded, try again"}


@pytest.fixture
def places(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Bulkhead:
    """The one place of a process with four threads."""
    settings.WEB_THREADS = 4
    monkeypatch.setattr(limits, "_bulkheads", {})
    assert KEY_SERVICES.places(4) == 1
    return bulkhead(KEY_SERVICES)


@pytest.fixture
def service(settings: Settings, places: Bulkhead) -> FaultyKeys:
    """The keys are a service's."""
    keys = FaultyKeys()
    keys.is_remote = True
    settings.KMS_PROVIDER = backend(keys)
    return keys


@pytest.fixture
def full(places: Bulkhead) -> Iterator[Bulkhead]:
    """All places are held by calls that hang."""
    with places.place():
        assert not places.enter()
        assert places.is_hanging
        yield places


def _sealed() -> tuple[bytes, bytes]:
    return envelope.seal(b"content", BOUND_TO)


def test_a_request_needs_a_place(service: FaultyKeys, full: Bulkhead) -> None:
    sealed, wrapped = _sealed()
    service.calls.clear()
    with serving_request():
        with pytest.raises(Overloaded):
            _sealed()
        with pytest.raises(Overloaded):
            envelope.unseal(sealed, wrapped, BOUND_TO)
    assert service.calls == [], "the service was not asked"


def test_others_need_none(service: FaultyKeys, full: Bulkhead) -> None:
    """Commands, tasks, the health probe."""
    assert envelope.unseal(*_sealed(), BOUND_TO) == b"content"
    with serving_request():
        key_provider().check()
    assert envelope.unseal(*_sealed(), BOUND_TO) == b"content", "nor does what comes after requests"


def test_keys_of_the_process_itself_need_none(full: Bulkhead) -> None:
    with serving_request():
        assert envelope.unseal(*_sealed(), BOUND_TO) == b"content"


@pytest.mark.parametrize("is_remote", [True, False])
def test_it_is_the_provider_of_the_wrapped_key_that_counts(
    service: FaultyKeys, full: Bulkhead, is_remote: bool
) -> None:
    """While data keys move from one provider to another, both are in use."""
    sealed, wrapped = _sealed()
    key_provider().chosen.is_remote = is_remote
    key_provider().is_remote = not is_remote
    with serving_request(), pytest.raises(Overloaded) if is_remote else nullcontext():
        assert envelope.unseal(sealed, wrapped, BOUND_TO) == b"content"


def test_a_place_is_held_while_the_service_is_asked(service: FaultyKeys, places: Bulkhead) -> None:
    held: list[bool] = []
    real = service.wrap

    def wrap(data_key: bytes, context: bytes) -> bytes:
        held.append(not places.enter())
        return real(data_key, context)

    service.wrap = wrap  # type: ignore[method-assign]
    reset_backends()
    with serving_request():
        _sealed()
    assert held == [True]
    assert places.enter(), "it was given back"


def test_those_who_find_no_place_are_refused_at_once_until_a_call_succeeds(
    service: FaultyKeys, places: Bulkhead
) -> None:
    sealed, wrapped = _sealed()
    with places.place():
        assert not places.enter()
    places._hanging = True
    service.failing = {"wrap"}
    with serving_request():
        with pytest.raises(KeyUnavailable):
            _sealed()
        assert places.is_hanging
        with pytest.raises(DecryptionFailed):  # it answered
            envelope.unseal(sealed, wrapped[:-1], BOUND_TO)
        assert not places.is_hanging


# --- What becomes of a request -------------------------------------------------------------------


def _refused_requests(client: Client, api: Api, share_id: str) -> dict[str, Callable[[], Any]]:
    form = {"content": "s3cret", "duration": "1h", "one_time": "on"}
    key = {"idempotency-key": "k" * 22}
    return {
        "create": lambda: client.post("/secrets", form | {"one_time": True}, "application/json"),
        "create again": lambda: client.post(
            "/secrets", form | {"one_time": True}, "application/json", headers=key
        ),
        "open": lambda: client.get(f"/secrets/{share_id}"),
        "open again": lambda: client.get(f"/secrets/{share_id}", headers=key),
        "create on the page": lambda: client.post("/", form),
        "open on the page": lambda: client.post(f"/s/{share_id}"),
        "set": lambda: api.set("new", "value"),
        "replace": lambda: api.set("key", "other"),
        "read": lambda: api.read("key"),
    }


REQUESTS = tuple(_refused_requests(Client(), Api(None), ""))


@pytest.mark.django_db
@pytest.mark.parametrize("name", REQUESTS)
def test_the_refusal_reaches_the_client_and_nothing_is_used_up_or_kept(
    service: FaultyKeys, remote_store: MemoryStore, places: Bulkhead, client: Client, name: str
) -> None:
    people()
    api, created = Api(token_of("alice")), share("s3cret")
    assert api.set("key", "value").status_code == 201
    before = _kept(remote_store)
    with places.place():
        answer = _refused_requests(client, api, created.share_id)[name]()
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    if "page" not in name:
        assert answer.json() == OVERLOADED
    assert _kept(remote_store) == before
    assert client.get(f"/secrets/{created.share_id}").json()["content"] == "s3cret"
    assert content(api.read("key")) == {"secret_value": "value"}


def _kept(store: MemoryStore) -> tuple[int, int, int, dict[str, bytes]]:
    """Return what there is: rows, events and values."""
    rows = (Share.objects.count(), RepositorySecret.objects.count(), AuditEvent.objects.count())
    return *rows, dict(store.values)
