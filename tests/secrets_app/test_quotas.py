"""Quotas: what one client, and what all together, may keep; freed by whatever ends a share."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from secrets_app import quotas
from secrets_app.actions.create import CreatedShare, Draft, create_share
from secrets_app.actions.delete import delete_share
from secrets_app.actions.idempotent import create_idempotently, reveal_idempotently
from secrets_app.actions.purge import purge_expired
from secrets_app.actions.reveal import reveal_share
from secrets_app.errors import ClientQuotaReached, InstallationFull
from secrets_app.idempotency import answers_with_content
from secrets_app.models import IdempotentResponse, Share
from secrets_app.quotas import InstallationUsage
from tests.secrets_app.support import at_once, expire, kept, row_of
from tests.support.in_process.doubles import MemoryStore

pytestmark = pytest.mark.django_db

ALICE = Actor(address_hash=b"a" * 16, request_id="request-a", bucket="aa" * 16)
BOB = Actor(address_hash=b"b" * 16, request_id="request-b", bucket="bb" * 16)
CONTENT = "s" * 100


@pytest.fixture(autouse=True)
def measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured in one test says nothing in the next."""
    monkeypatch.setattr(quotas, "installation_usage", InstallationUsage())


def share(actor: Actor = ALICE, content: str = CONTENT, *, one_time: bool = True) -> CreatedShare:
    return create_share(Draft(content, "1h", one_time), actor)


@pytest.fixture
def three_each(settings: Settings) -> None:
    """Three shares for each client."""
    settings.QUOTA_SHARES_PER_CLIENT = 3


@pytest.fixture
def three_in_all(settings: Settings) -> None:
    """Three shares for all together."""
    settings.QUOTA_SHARES_TOTAL = 3


@pytest.fixture
def still_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement stays good for as long as the test takes."""
    for seconds in ("VALID_FOR", "VALID_FOR_IF_FULL"):
        monkeypatch.setattr(f"secrets_app.quotas.{seconds}", 1e9)


# --- One client ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("three_each")
def test_so_many_shares_and_no_more() -> None:
    for _ in range(3):
        share()
    with pytest.raises(ClientQuotaReached) as refused:
        share()
    assert refused.value.status == 429
    assert refused.value.sentence == "Quota exceeded: a client may keep 3 secrets at a time"
    assert 60 < int(refused.value.headers["Retry-After"]) <= 3601
    share(BOB)


def test_so_many_bytes_and_no_more(settings: Settings) -> None:
    settings.QUOTA_BYTES_PER_CLIENT = 250
    share()
    share()
    share(content="é" * 25)
    with pytest.raises(ClientQuotaReached, match="a client may keep 250 bytes at a time"):
        share(content="s")
    share(BOB)


def test_what_is_larger_than_the_quota_never_fits(settings: Settings) -> None:
    settings.QUOTA_BYTES_PER_CLIENT = 99
    with pytest.raises(ClientQuotaReached) as refused:
        share()
    assert refused.value.headers["Retry-After"] == "60"


def _open(created: CreatedShare) -> None:
    reveal_share(created.share_id, BOB)


def _delete(created: CreatedShare) -> None:
    delete_share(created.share_id, created.deletion_token, BOB)


def _expire_and_purge(created: CreatedShare) -> None:
    expire(created)
    assert sum(purge_expired()) == 1


@pytest.mark.parametrize("end", [_open, _delete, expire, _expire_and_purge])
@pytest.mark.usefixtures("three_each")
def test_what_ends_a_share_frees_its_place(end: Callable[[CreatedShare], None]) -> None:
    first, *_ = [share() for _ in range(3)]
    end(first)
    share()
    with pytest.raises(ClientQuotaReached):
        share()


@pytest.mark.usefixtures("three_each")
def test_an_opening_that_ends_nothing_frees_nothing() -> None:
    first, *_ = [share(one_time=False) for _ in range(3)]
    _open(first)
    with pytest.raises(ClientQuotaReached):
        share()


@pytest.mark.usefixtures("three_each")
def test_a_refused_share_leaves_nothing(remote_store: MemoryStore) -> None:
    for _ in range(3):
        share()
    events, put = AuditEvent.objects.count(), len(remote_store.calls)
    with pytest.raises(ClientQuotaReached):
        share()
    assert (Share.objects.count(), kept(), AuditEvent.objects.count()) == (3, 3, events)
    assert remote_store.calls[put:].count("put") == 0


def test_nobody_is_counted_without_a_quota() -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        created = share()
    assert row_of(created).client is None
    assert not any("SUM(" in query["sql"].upper() for query in queries)


@pytest.mark.usefixtures("three_each")
def test_a_row_has_the_keyed_hash_alone() -> None:
    assert bytes(row_of(share()).client or b"") == bytes.fromhex(ALICE.bucket)
    assert row_of(share(SERVICE)).client is None


@pytest.mark.usefixtures("three_each")
def test_addresses_of_one_network_count_together() -> None:
    """The middleware gives all addresses of an IPv6 /64 one bucket."""
    for number in range(3):
        share(replace(ALICE, address_hash=bytes([number]) * 16))
    with pytest.raises(ClientQuotaReached):
        share(replace(ALICE, address_hash=b"d" * 16))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("three_each")
def test_creates_at_the_same_moment() -> None:
    """As exact as documented: over the quota by those in flight together, and never after."""

    def attempt(_: int) -> bool:
        try:
            share()
        except ClientQuotaReached:
            return False
        return True

    first, *later = at_once(4, 5, attempt)
    assert 3 <= sum(first) + sum(map(sum, later)) <= 3 + 3
    assert not attempt(0)


# --- All together --------------------------------------------------------------------------------


@pytest.mark.usefixtures("three_in_all")
def test_an_installation_that_is_full() -> None:
    for actor in (ALICE, BOB, ALICE):
        share(actor)
    with pytest.raises(InstallationFull) as refused:
        share(BOB)
    assert refused.value.status == 507
    assert "no room" in refused.value.sentence
    assert Share.objects.count() == 3


def test_an_installation_that_is_full_of_bytes(settings: Settings) -> None:
    settings.QUOTA_BYTES_TOTAL = 250
    share()
    share(BOB)
    with pytest.raises(InstallationFull):
        share(content="s" * 51)
    share(content="s" * 50)


@pytest.mark.usefixtures("three_in_all")
def test_a_place_that_is_free_again_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets_app.quotas.VALID_FOR_IF_FULL", 0.0)
    first, *_ = [share() for _ in range(3)]
    with pytest.raises(InstallationFull):
        share()
    _open(first)
    share()


@pytest.mark.usefixtures("three_in_all")
def test_what_other_processes_keep_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    share()
    Share.objects.bulk_create(_others(5))
    monkeypatch.setattr("secrets_app.quotas.VALID_FOR", 0.0)
    monkeypatch.setattr("secrets_app.quotas.VALID_FOR_IF_FULL", 0.0)
    with pytest.raises(InstallationFull):
        share()


def _others(count: int) -> Iterator[Share]:
    model = Share.objects.get()
    for number in range(count):
        model.pk, model.digest = None, number.to_bytes(32)
        yield Share(**{f.attname: getattr(model, f.attname) for f in Share._meta.concrete_fields})


@pytest.mark.usefixtures("three_in_all", "still_good")
def test_measured_seldom() -> None:
    with CaptureQueriesContext(connection) as queries:
        for _ in range(3):
            share()
        for _ in range(5):
            with pytest.raises(InstallationFull):
                share()
    asked = sum("SUM(" in query["sql"].upper() for query in queries)
    assert asked == 2, "once: of the shares, and of the answers kept for retries"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("three_in_all", "still_good")
def test_one_process_is_exact() -> None:
    made, lock = [0], threading.Lock()

    def attempt(_: int) -> None:
        try:
            share()
        except InstallationFull:
            return
        with lock:
            made[0] += 1

    at_once(4, 5, attempt)
    assert made[0] == Share.objects.count() == 3


def _opened_under_a_key(content: str = CONTENT) -> IdempotentResponse:
    """Open a share under an idempotency key and return the answer that is kept."""
    reveal_idempotently(share(content=content).share_id, ALICE, "k" * 22)
    return IdempotentResponse.objects.get()


@pytest.mark.parametrize(
    ("quota", "limit", "refusal"),
    [
        ("QUOTA_SHARES_PER_CLIENT", 1, ClientQuotaReached),
        ("QUOTA_BYTES_PER_CLIENT", 800, ClientQuotaReached),
        ("QUOTA_SHARES_TOTAL", 1, InstallationFull),
        ("QUOTA_BYTES_TOTAL", 800, InstallationFull),
    ],
)
def test_an_answer_kept_for_a_retry_counts_until_it_expires(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, quota: str, limit: int, refusal: type
) -> None:
    """By what is kept: JSON writes this content with six bytes each."""
    setattr(settings, quota, limit)
    settings.QUOTA_SHARES_PER_CLIENT = settings.QUOTA_SHARES_PER_CLIENT or 1000  # or none has one
    answer = _opened_under_a_key("\x01" * 100)
    assert answer.size == len(answer.sealed) > 600
    monkeypatch.setattr(quotas, "installation_usage", InstallationUsage())
    with pytest.raises(refusal):
        share(content="s" * 200)
    IdempotentResponse.objects.update(expires_at=Now())
    monkeypatch.setattr(quotas, "installation_usage", InstallationUsage())
    share(content="s" * 200)


@pytest.mark.usefixtures("three_each")
def test_the_answer_to_a_creation_holds_no_content_and_counts_nothing() -> None:
    for number in range(3):
        create_idempotently(Draft(CONTENT, "1h"), ALICE, f"{number}" * 22, b"{}")
    with pytest.raises(ClientQuotaReached):
        share()
    assert not answers_with_content().exists()
