"""Opening a share: one reader for a one-time share, any number for another, none when it ended."""

import pytest

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from fugata_core import tokens
from secrets_app import ids
from secrets_app.actions.find import find_share
from secrets_app.actions.reveal import reveal_share
from secrets_app.errors import ShareNotFound
from secrets_app.models import Share
from tests.secrets_app.support import at_once, expire, kept, kinds, row_of, share

pytestmark = pytest.mark.django_db

NEVER_AN_ID = [
    "",
    "fug_",
    "fug_" + "a" * 21,
    "fug_" + "a" * 65,
    "fug_" + "a" * 21 + "é",
    "fug_" + "a" * 22 + "\n",
    " fug_" + "a" * 22,
    "FUG_" + "a" * 22,
    "tok_" + "a" * 22,
    "fug_" + "a" * 21 + "\0",
    "fug_" + "a" * 21 + "\ud800",
    "fug_" + "٣" * 22,
    "../" * 8,
]


def assert_gone(share_id: str) -> None:
    with pytest.raises(ShareNotFound) as raised:
        reveal_share(share_id, SERVICE)
    assert (raised.value.status, raised.value.sentence) == (404, "Secret not found")


def test_a_one_time_share_opens_once(actor: Actor) -> None:
    created = share("s3cret", label="label")
    opened = reveal_share(created.share_id, actor)
    assert (opened.content, opened.label, opened.one_time) == (b"s3cret", "label", True)
    assert opened.expires_at == created.expires_at
    assert_gone(created.share_id)
    assert Share.objects.count() == kept() == 0
    assert kinds(tokens.digest(created.share_id)) == ["created", "opened"]
    event = AuditEvent.objects.latest("pk")
    assert (bytes(event.address_hash or b""), event.request_id) == (
        actor.address_hash,
        actor.request_id,
    )


def test_another_share_opens_until_it_expires() -> None:
    created = share("s3cret", one_time=False)
    for _ in range(3):
        opened = reveal_share(created.share_id, SERVICE)
        assert (opened.content, opened.one_time) == (b"s3cret", False)
    assert kinds(tokens.digest(created.share_id)) == ["created"] + ["opened"] * 3
    expire(created)
    assert_gone(created.share_id)


@pytest.mark.parametrize("one_time", [True, False])
def test_an_expired_share_is_not_found_before_any_purge(one_time: bool) -> None:
    created = share(one_time=one_time)
    expire(created)
    assert_gone(created.share_id)
    with pytest.raises(ShareNotFound):
        find_share(created.share_id)
    assert Share.objects.count() == 1
    assert kinds(tokens.digest(created.share_id)) == ["created"]


def test_an_unknown_id() -> None:
    share()
    assert_gone(ids.new_share_id())


@pytest.mark.parametrize("share_id", NEVER_AN_ID)
def test_what_is_no_id_is_not_found(share_id: str) -> None:
    assert_gone(share_id)
    with pytest.raises(ShareNotFound):
        find_share(share_id)


def test_the_letters_case_counts() -> None:
    created = share()
    assert_gone("fug_" + created.share_id[4:].swapcase())


def test_finding_consumes_nothing() -> None:
    created = share("s3cret")
    for _ in range(3):
        assert find_share(created.share_id).size == 6
    assert kinds(tokens.digest(created.share_id)) == ["created"]
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


def test_no_share_touches_another() -> None:
    first, second = share("first"), share("second")
    assert reveal_share(first.share_id, SERVICE).content == b"first"
    assert row_of(second).size == 6
    assert reveal_share(second.share_id, SERVICE).content == b"second"


@pytest.mark.soak
@pytest.mark.django_db(transaction=True)
def test_of_many_readers_one_gets_it(rounds: int) -> None:
    made = [share(f"s3cret {number}") for number in range(rounds)]

    def read(number: int) -> bytes | None:
        try:
            return reveal_share(made[number].share_id, SERVICE).content
        except ShareNotFound:
            return None

    for number, contents in enumerate(at_once(8, rounds, read)):
        assert [content for content in contents if content] == [f"s3cret {number}".encode()]
    assert AuditEvent.objects.filter(kind="opened").count() == rounds
