"""Who may create: clients of some networks, or who is signed in. Opening stays open to all."""

import ipaddress
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from audit_app.models import AuditEvent, LookupCount
from fugata_core import addresses
from fugata_site.middleware.client import is_network_allowed
from secrets_app.actions.create import CreatedShare, Draft, create_share
from secrets_app.errors import CreationNotAllowed, SignInToCreate, TokenMayNotCreate
from secrets_app.models import Share
from tests.repositories_app.support import people, token_of
from tests.support.in_process.keys import use_keys

pytestmark = pytest.mark.django_db

INSIDE, OUTSIDE = "192.0.2.7", "198.51.100.7"
PROXY = "192.0.2.200"
BODY = json.dumps({"content": "s3cret", "duration": "1h"})
JSON, KEY = "application/json", ""
MIDDLEWARE = "fugata_site.middleware.permission.PermissionMiddleware"


@pytest.fixture(autouse=True)
def gate(settings: Settings) -> None:
    """The middleware in its place, as the settings put it there; limits out of the way."""
    after = "fugata_site.middleware.ratelimit.RateLimitMiddleware"
    place = settings.MIDDLEWARE.index(after) + 1
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], MIDDLEWARE, *settings.MIDDLEWARE[place:]]
    settings.RATE_LIMIT_RPM = settings.RATE_LIMIT_BURST = 1_000_000
    settings.TOKEN_RATE_LIMIT_RPM = settings.TOKEN_RATE_LIMIT_BURST = 2_000_000
    use_keys(settings, "test:" + "A" * 43 + "=")


@pytest.fixture
def inside(settings: Settings) -> Iterator[None]:
    """Creation from 192.0.2.0/24 and one IPv6 network."""
    networks = ("192.0.2.0/24", "2001:db8::/48")
    settings.CREATE_ALLOWED_FROM = [ipaddress.ip_network(each) for each in networks]
    is_network_allowed.cache_clear()
    yield
    is_network_allowed.cache_clear()


@pytest.fixture
def signed_in(settings: Settings) -> None:
    """Creation with a sign-in alone."""
    settings.CREATE_REQUIRES_LOGIN = True


def create(
    address: str = INSIDE,
    token: str | None = None,
    body: bytes = BODY.encode(),
    kind: str = JSON,
    key: str = KEY,
) -> Any:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    headers |= {"idempotency-key": key} if key else {}
    return Client(REMOTE_ADDR=address).generic("POST", "/secrets", body, kind, headers=headers)


def made() -> CreatedShare:
    return create_share(Draft("s3cret", "1h", True), SERVICE)


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    ("address", "status"),
    [
        (INSIDE, 201),
        (f"::ffff:{INSIDE}", 201),
        ("2001:db8:0:5::1", 201),
        (OUTSIDE, 403),
        ("2001:db8:1::1", 403),
        ("", 403),
    ],
)
def test_creation_by_network(address: str, status: int) -> None:
    answer = create(address)
    assert answer.status_code == status
    assert Share.objects.count() == (status == 201)
    if status == 403:
        assert answer.json() == {"error": CreationNotAllowed.sentence}


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        (INSIDE, 201),
        (OUTSIDE, 403),
        ("unknown", 403),
        (f"{INSIDE}, unknown", 403),
        ("", 403),
        (None, 403),
        (PROXY, 403),
    ],
)
def test_a_proxy_inside_vouches_for_nobody(
    settings: Settings, forwarded: str | None, status: int
) -> None:
    """Its own address is allowed, but it does not say who asks."""
    settings.TRUSTED_PROXIES = [ipaddress.ip_network(PROXY)]
    addresses.is_trusted.cache_clear()
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    client = Client(REMOTE_ADDR=PROXY)
    answer = client.post("/secrets", BODY, "application/json", headers=headers)
    addresses.is_trusted.cache_clear()
    assert answer.status_code == status


@pytest.mark.usefixtures("inside")
def test_the_page_by_network() -> None:
    for method in ("get", "head", "post"):
        answer = getattr(Client(REMOTE_ADDR=OUTSIDE), method)("/")
        assert answer.status_code == 403
    assert CreationNotAllowed.for_people in Client(REMOTE_ADDR=OUTSIDE).get("/").content.decode()
    assert Client(REMOTE_ADDR=INSIDE).get("/").status_code == 200


@pytest.mark.usefixtures("inside", "signed_in")
def test_opening_stays_open_to_all() -> None:
    outsider = Client(REMOTE_ADDR=OUTSIDE)
    assert outsider.get(f"/secrets/{made().share_id}").json()["content"] == "s3cret"
    shown = made().share_id
    assert outsider.get(f"/s/{shown}").status_code == 200
    assert "s3cret" in outsider.post(f"/s/{shown}").content.decode()
    gone = made()
    headers = {"authorization": f"Bearer {gone.deletion_token}"}
    assert outsider.delete(f"/secrets/{gone.share_id}", headers=headers).status_code == 200


@pytest.mark.usefixtures("inside")
def test_a_refused_body_is_not_read_as_a_form() -> None:
    answer = Client(REMOTE_ADDR=OUTSIDE).post("/", {"content": "s3cret"})
    assert answer.status_code == 403
    assert "s3cret" not in answer.content.decode()


# --- With a sign-in ------------------------------------------------------------------------------


@pytest.mark.usefixtures("signed_in")
def test_creation_by_token() -> None:
    people()
    assert create(token=token_of("alice")).status_code == 201
    assert Share.objects.count() == 1


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("terms", [{"read_only": True}, {"repositories": ("alices-repo",)}])
def test_a_token_that_is_good_for_less(terms: dict[str, Any]) -> None:
    people()
    answer = create(token=token_of("alice", **terms))
    assert (answer.status_code, answer.json()) == (403, {"error": TokenMayNotCreate.sentence})
    assert not Share.objects.exists()


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("has_middleware", [True, False])
def test_the_trail_says_whose_token_is_good_for_less(
    settings: Settings, has_middleware: bool
) -> None:
    if not has_middleware:
        settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != MIDDLEWARE]
    people()
    token = token_of("alice", read_only=True)
    assert create(token=token).status_code == 403
    event = AuditEvent.objects.get(kind="refused")
    assert (event.username, event.token, event.repository) == ("alice", token[:10], "")
    assert len(bytes(event.address_hash or b"")) == 16
    assert not LookupCount.objects.exists()


REFUSED_CREATES: dict[str, tuple[int, bytes, str, str]] = {
    "no JSON": (400, b"{", JSON, KEY),
    "no body": (400, b"", JSON, KEY),
    "an unknown duration": (400, b'{"content": "s", "duration": "2y"}', JSON, KEY),
    "no key for retries": (400, BODY.encode(), JSON, "short"),
    "a form": (415, b"a=b", "application/x-www-form-urlencoded", KEY),
    "too large a secret": (413, b'{"content": "12345", "duration": "1h"}', JSON, KEY),
    "too large a body": (413, b"{" + b" " * 2**16, JSON, KEY),
    "a reused key": (422, b'{"content": "s", "duration": "1h"}', JSON, "used" * 8),
    "an installation that is full": (507, b'{"content": "123", "duration": "1h"}', JSON, KEY),
}


@pytest.mark.usefixtures("signed_in", "frozen_minute")
@pytest.mark.parametrize("refused", REFUSED_CREATES.values(), ids=REFUSED_CREATES)
def test_a_create_that_fails_is_a_lookup(
    settings: Settings, refused: tuple[int, bytes, str, str]
) -> None:
    """It tells that the token is live."""
    people()
    token, (status, body, kind, key) = token_of("alice"), refused
    create(token=token, key="used" * 8)
    settings.MAX_SECRET_SIZE, settings.MAX_BODY_SIZE = 4, 100
    settings.QUOTA_BYTES_TOTAL = 8 if status == 507 else 0
    assert not LookupCount.objects.exists()
    assert create(token=token, body=body, kind=kind, key=key).status_code == status
    assert create(token="fgt_" + "a" * 36, body=body, kind=kind, key=key).status_code == 401
    row = LookupCount.objects.get()
    assert (row.username, row.token, row.repository, row.count) == ("alice", token[:10], "", 1)


@pytest.mark.usefixtures("signed_in", "inside")
def test_outside_of_the_networks_no_token_is_looked_at() -> None:
    people()
    answers = [create(OUTSIDE, token) for token in (token_of("alice"), "fgt_" + "a" * 36)]
    assert [answer.status_code for answer in answers] == [403, 403]
    live, dead = (answer["X-RateLimit-Limit"] for answer in answers)
    assert live == dead
    assert not LookupCount.objects.exists()


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("token", [None, "nonsense", "fgt_" + "A" * 43, "tok_" + "A" * 22])
def test_without_a_good_token(token: str | None) -> None:
    answer = create(token=token)
    assert (answer.status_code, answer.json()) == (401, {"error": SignInToCreate.sentence})
    assert answer["WWW-Authenticate"] == "Bearer"
    assert not Share.objects.exists()


@pytest.mark.usefixtures("signed_in", "frozen_guesses")
def test_a_guesser_is_told_to_wait(settings: Settings) -> None:
    settings.GUESS_RATE = "3/5m"
    wrong = token_of_nobody()
    statuses = [create(OUTSIDE, wrong).status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]


def token_of_nobody() -> str:
    """Return a well-formed token that was revoked."""
    people()
    token = token_of("alice")
    User.objects.filter(username="alice").update(is_active=False)
    return token


@pytest.mark.usefixtures("signed_in")
def test_the_page_asks_to_sign_in() -> None:
    for method in ("get", "post"):
        answer = getattr(Client(), method)("/")
        assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/")


@pytest.mark.usefixtures("signed_in")
def test_the_page_of_somebody_who_is_signed_in() -> None:
    client = Client()
    user = User.objects.create_user("alice", password="correct horse battery")
    client.force_login(user)
    assert client.get("/").status_code == 200
    form = {"content": "s3cret", "duration": "1h", "one_time": "on"}
    assert client.post("/", form).status_code == 200
    assert Share.objects.count() == 1
    user.is_active = False
    user.save()
    assert client.get("/").status_code == 302


@pytest.mark.usefixtures("signed_in")
def test_a_session_does_not_create_by_api() -> None:
    """A form of another site could send the cookie along, but no header."""
    client = Client()
    client.force_login(User.objects.create_user("alice"))
    assert client.post("/secrets", BODY, "application/json").status_code == 401


def test_the_view_asks_where_no_middleware_does(settings: Settings, inside: None) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != MIDDLEWARE]
    assert create(OUTSIDE).status_code == 403
    assert Client(REMOTE_ADDR=OUTSIDE).get("/").status_code == 403
    assert create(INSIDE).status_code == 201


@pytest.mark.usefixtures("signed_in")
def test_the_trail_says_who_created() -> None:
    people()
    token = token_of("alice")
    assert create(token=token).status_code == 201
    event = AuditEvent.objects.get(kind="created")
    assert (event.username, event.token) == ("alice", token[:10])
    client = Client()
    client.force_login(User.objects.get(username="bob"))
    fields = {"content": "s3cret", "duration": "1h"}
    assert client.post("/", fields).status_code == 200
    event = AuditEvent.objects.filter(kind="created").latest("pk")
    assert (event.username, event.token) == ("bob", "")
