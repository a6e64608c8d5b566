"""Shares, the trail and keys in the admin: found by what is known of them, revoked by operators."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib import admin

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from audit_app.trail import record
from fugata_core import tokens
from fugata_core.admin import confirmation, read_only
from secrets_app.models import Share
from tests.secrets_app.support import expire, kinds, row_of, share
from tests.support.clients.operators import Admin, person, text
from tests.support.in_process.doubles import MemoryStore
from vault_app.models import KeyEncryptionKey

pytestmark = pytest.mark.django_db

SHARES, EVENTS, KEYS = (
    "secrets_app/share",
    "audit_app/auditevent",
    "vault_app/keyencryptionkey",
)


@pytest.fixture
def auditor() -> Admin:
    return Admin(person("ada", "auditor"))


@pytest.fixture
def operator() -> Admin:
    return Admin(person("olga", "operator"))


@pytest.fixture
def newcomer() -> Admin:
    """A member of the staff in no group."""
    return Admin(person("nick"))


def shown(visitor: Admin, place: str, **query: str) -> str:
    """Return the table of a list."""
    answer = visitor.get(f"{place}/", **query)
    assert answer.status_code == 200
    return text(answer).partition('id="result_list"')[2].partition("</table>")[0]


def rows(visitor: Admin, place: str, **query: str) -> int:
    return max(shown(visitor, place, **query).count("<tr>") - 1, 0)


# --- Shares ---------------------------------------------------------------------------------------


def test_the_list_says_what_is_known_of_a_share(auditor: Admin) -> None:
    row = row_of(share("0123456789", label="For the build"))
    table = shown(auditor, SHARES)
    for part in (bytes(row.digest).hex()[:16], "live", "For the build", "10\xa0bytes", "True"):
        assert part in table, part


def test_expired_shares_wait_for_the_purge(auditor: Admin) -> None:
    expire(share(label="old"))
    share(label="new")
    assert "waits for the purge" in shown(auditor, SHARES)
    assert "old" in shown(auditor, SHARES, state="expired")
    assert rows(auditor, SHARES, state="expired") == 1
    assert rows(auditor, SHARES, state="live") == 1
    assert rows(auditor, SHARES, one_time__exact="0") == 0


def test_a_share_is_found_by_digest_or_label(auditor: Admin) -> None:
    row = row_of(share(label="For the build"))
    share(label="another")
    digest = bytes(row.digest).hex()
    for term in (digest, digest[:8], digest[:9], "for the"):
        assert rows(auditor, SHARES, q=term) == 1, term
    for term in (digest[:7], "f" * 65, "nothing"):
        assert rows(auditor, SHARES, q=term) == 0, term


def test_revoking_asks_first(operator: Admin) -> None:
    created, other = share(), share()
    row = row_of(created)
    question = text(operator.act(SHARES, "revoke", row.pk))
    assert "nobody can bring them back" in question
    assert Share.objects.count() == 2
    answer = operator.act(SHARES, "revoke", row.pk, confirmed="yes")
    assert answer.status_code == 302
    assert "1 of 1 shares revoked" in text(operator.get(f"{SHARES}/"))
    assert list(Share.objects.values_list("digest", flat=True)) == [tokens.digest(other.share_id)]
    event = AuditEvent.objects.get(kind="deleted", share_digest=row.digest)
    assert event.username == "olga"
    assert event.address_hash
    assert event.request_id


def test_a_value_that_stays_for_a_while_is_told_of(
    operator: Admin, remote_store: MemoryStore
) -> None:
    row = row_of(share())
    remote_store.failing = {"delete"}
    operator.act(SHARES, "revoke", row.pk, confirmed="yes")
    assert "still has 1 of their values" in text(operator.get(f"{SHARES}/"))


def test_one_share_has_a_button(operator: Admin, auditor: Admin) -> None:
    row = row_of(share())
    assert 'value="revoke"' in text(operator.get(f"{SHARES}/{row.pk}/change/"))
    assert 'value="revoke"' not in text(auditor.get(f"{SHARES}/{row.pk}/change/"))


def test_an_auditor_cannot_revoke(auditor: Admin) -> None:
    row = row_of(share())
    answer = auditor.act(SHARES, "revoke", row.pk, confirmed="yes")
    assert kinds(bytes(row.digest)) == ["created"]
    assert "shares revoked" not in text(answer)
    assert auditor.post("purge/").status_code == 403
    assert not AuditEvent.objects.filter(kind="purged").exists()


def test_at_most_so_many_at_a_time(operator: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmation, "MAX_CHOSEN", 2)
    for _ in range(3):
        share()
    numbers = Share.objects.values_list("pk", flat=True)
    assert "At most 2 are done at a time" in text(operator.act(SHARES, "revoke", *numbers))
    operator.act(SHARES, "revoke", *numbers, confirmed="yes")
    assert Share.objects.count() == 1


# --- The trail ------------------------------------------------------------------------------------


def test_the_trail_says_who_what_when(auditor: Admin) -> None:
    who = Actor(b"\xab" * 16, "request-77", username="wendy", token="fgt_abcdef")
    record(AuditEvent.Kind.SET, who, repository="the-repo", secret_key="THE_KEY")
    table = shown(auditor, EVENTS)
    for part in ("wendy", "the-repo/THE_KEY", "Set"):
        assert part in table, part
    page = text(auditor.get(f"{EVENTS}/{AuditEvent.objects.get(kind='set').pk}/change/"))
    for part in ("request-77", "fgt_abcdef", "client abababab"):
        assert part in page, part


def test_it_is_searched_and_filtered(auditor: Admin) -> None:
    created = share()
    digest = tokens.digest(created.share_id).hex()
    record(AuditEvent.Kind.READ, Actor(username="wendy", request_id="request-9"), repository="r1")
    record(AuditEvent.Kind.READ, Actor(username="rita"), repository="r2")
    record(AuditEvent.Kind.TOKEN_CREATED, Actor(username="olga"), subject="fgt_abc of rita")
    assert rows(auditor, EVENTS) == 4
    for query, number in (
        ({"q": digest}, 1),
        ({"q": digest[:12]}, 1),
        ({"q": "request-9"}, 1),
        ({"q": "r2"}, 1),
        ({"q": "rita"}, 2),
        ({"username": "wendy"}, 1),
        ({"repository": "r1"}, 1),
        ({"kind__exact": "read"}, 2),
        ({"kind__exact": "read", "username": "rita"}, 1),
    ):
        assert rows(auditor, EVENTS, **query) == number, query


def test_a_week_unless_another_time_is_asked_for(auditor: Admin) -> None:
    now = datetime.now(UTC)
    for days in (0, 3, 10, 100):
        AuditEvent.objects.create(kind="opened", at=now - timedelta(days=days), request_id="r")
    for span, number in (("hour", 1), ("day", 1), ("week", 2), ("month", 3), ("all", 4)):
        assert rows(auditor, EVENTS, span=span) == number, span
    assert rows(auditor, EVENTS) == 2
    since, until = f"{now - timedelta(days=11):%Y-%m-%dT%H:%M}", f"{now:%Y-%m-%dT00:00}"
    assert rows(auditor, EVENTS, **{"from": since}) == 3
    assert rows(auditor, EVENTS, **{"from": since, "to": until, "kind__exact": "opened"}) == 2


@pytest.mark.parametrize("moment", ["yesterday", "2026-99-99T00:00"])
def test_a_moment_that_is_none(auditor: Admin, moment: str) -> None:
    assert auditor.get(f"{EVENTS}/", **{"from": moment}).status_code == 400


def test_nobody_changes_the_trail() -> None:
    record(AuditEvent.Kind.PURGED, SERVICE)
    root = Admin(person("root", superuser=True))
    place = f"{EVENTS}/{AuditEvent.objects.get().pk}"
    for page in (f"{place}/change/", f"{place}/delete/", f"{EVENTS}/add/"):
        assert root.post(page, kind="opened").status_code == 403
    assert root.act(EVENTS, "delete_selected", AuditEvent.objects.get().pk).status_code == 200
    assert AuditEvent.objects.get().kind == "purged"


def test_a_long_list_counts_no_further(auditor: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_only, "MAX_COUNTED", 3)
    for _ in range(5):
        record(AuditEvent.Kind.PURGED, SERVICE)
    assert "3 results" in text(auditor.get(f"{EVENTS}/"))


# --- Keys -----------------------------------------------------------------------------------------


def test_keys_and_how_many_rows_need_them(auditor: Admin) -> None:
    share()
    share()
    KeyEncryptionKey.objects.create(id="older", check_value=b"-")
    table = shown(auditor, KEYS)
    assert rows(auditor, KEYS) == 2
    assert '<td class="field-rows">2</td>' in table
    assert '<td class="field-rows">0</td>' in table


# --- What holds for all of it ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "deletion_digest__startswith=x",
        "value_name__startswith=a",
        "wrapped_key__gt=a",
        "key__check_value__gt=a",
        "digest=abc",
        "size__gt=1",
    ],
)
def test_no_list_can_be_asked_for_what_it_does_not_show(operator: Admin, query: str) -> None:
    name, _, value = query.partition("=")
    share()
    assert operator.get(f"{SHARES}/", **{name: value}).status_code == 400


def test_a_member_of_nothing_sees_nothing(newcomer: Admin) -> None:
    row = row_of(share(label="For the build"))
    page = text(newcomer.get(""))
    assert "Live shares" not in page
    assert "have permission to view or edit anything" in page
    for model in admin.site._registry:
        place = f"{model._meta.app_label}/{model._meta.model_name}"
        assert newcomer.get(f"{place}/").status_code == 403
        assert newcomer.get(f"{place}/add/").status_code == 403
    assert newcomer.get(f"{SHARES}/{row.pk}/change/").status_code == 403
    assert newcomer.get("health/").status_code == 403
    assert newcomer.post("purge/").status_code == 403
    assert newcomer.act(SHARES, "revoke", row.pk, confirmed="yes").status_code == 403
    assert Share.objects.filter(pk=row.pk).exists()


def test_nobody_else_is_even_told_what_there_is() -> None:
    row = row_of(share())
    user = person("walter", "operator")
    user.is_staff = False
    user.save()
    for visitor in (Admin(), Admin(user)):
        for path in ("", f"{SHARES}/", f"{SHARES}/{row.pk}/change/", "nowhere/", "health/"):
            answer = visitor.get(path)
            assert answer.status_code == 302
            assert answer.headers["Location"].startswith("/admin/login/?next=")
        visitor.act(SHARES, "revoke", row.pk, confirmed="yes")
        visitor.post("purge/")
    assert Share.objects.filter(pk=row.pk).exists()
