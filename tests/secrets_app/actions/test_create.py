"""Creating a share: what is accepted, what is refused and how, and what is kept."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from fugata_core import tokens
from fugata_core.errors import BadRequest, FugataError, SecretTooLarge
from secrets_app.actions.create import Draft, create_share
from secrets_app.actions.reveal import reveal_share
from secrets_app.models import Share
from tests.secrets_app.support import kept, row_of, share, texts

pytestmark = pytest.mark.django_db


@given(content=texts, label=st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_any_text_comes_back(content: str, label: str | None) -> None:
    opened = reveal_share(share(content, label=label).share_id, SERVICE)
    assert opened.content.decode() == content
    assert opened.label == label


@pytest.mark.parametrize(
    "content",
    [
        "\0",
        "a\0b\0",
        "  leading and trailing \n\t",
        "\r\n\r",
        "\ufeff",
        "👩‍👩‍👧‍👦",
        "\u202eright to left\u202c",
        "e\u0301 é",
        "\ufffd\ufffe\uffff",
        "\x7f\x80\x85\u2028",
        '"\\"</script>',
    ],
)
def test_content_comes_back_byte_for_byte(content: str) -> None:
    opened = reveal_share(share(content).share_id, SERVICE)
    assert opened.content == content.encode()


PRESETS = "Invalid duration: must be one of 5m, 1h, 24h, 7d, 30d"
LABEL = "Invalid metadata: must be a string of at most 1024 characters without NUL"


@pytest.mark.parametrize(
    ("draft", "sentence"),
    [
        *[
            (Draft("s", duration), PRESETS)
            for duration in ("", "2h", "1H", "60m", " 1h", "1h ", "1h\0", "-1h", "1", "\uff15m")
        ],
        (Draft("", "1h"), "Invalid content: must not be empty"),
        (Draft("\ud800", "1h"), "Invalid content: a lone surrogate is no Unicode text"),
        (Draft("a\udfffb", "1h"), "Invalid content: a lone surrogate is no Unicode text"),
        (Draft("s", "1h", label="l" * 1025), LABEL),
        (Draft("s", "1h", label="\0"), LABEL),
        (Draft("s", "1h", label="a\0b"), LABEL),
    ],
    ids=str,
)
def test_what_is_refused(draft: Draft, sentence: str) -> None:
    with pytest.raises(BadRequest) as raised:
        create_share(draft, SERVICE)
    assert raised.value.status == 400
    assert raised.value.sentence == sentence
    assert Share.objects.count() == kept() == AuditEvent.objects.count() == 0


@pytest.mark.parametrize(
    "label", [None, "", "l" * 1024, "é" * 1024, "👩" * 1024, " spaced ", "line\nbreak", "\ufeff"]
)
def test_labels_that_are_accepted(label: str | None) -> None:
    assert reveal_share(share(label=label).share_id, SERVICE).label == label


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m", 300), ("1h", 3600), ("24h", 86_400), ("7d", 604_800), ("30d", 2_592_000)],
)
def test_each_preset(text: str, seconds: int) -> None:
    before = datetime.now(UTC)
    created = create_share(Draft("s", text), SERVICE)
    lifetime = timedelta(seconds=seconds)
    assert before + lifetime <= created.expires_at
    assert created.expires_at <= datetime.now(UTC) + lifetime + timedelta(seconds=1)
    assert created.expires_at.microsecond == 0


def test_the_presets_are_the_configured_ones(settings: Settings) -> None:
    settings.TTL_PRESETS = {"90s": timedelta(seconds=90), "2d": timedelta(days=2)}
    create_share(Draft("s", "90s"), SERVICE)
    with pytest.raises(BadRequest, match=r"^Invalid duration: must be one of 90s, 2d$"):
        create_share(Draft("s", "1h"), SERVICE)


@pytest.mark.parametrize("character", ["x", "\0", "é", "€", "👩"])
def test_exactly_the_maximum_and_one_more(settings: Settings, character: str) -> None:
    """The maximum counts bytes of UTF-8, not characters."""
    settings.MAX_SECRET_SIZE = 1200
    most = 1200 // len(character.encode())
    opened = reveal_share(share(character * most).share_id, SERVICE)
    assert len(opened.content) == 1200
    with pytest.raises(SecretTooLarge) as raised:
        share(character * most + "x")
    assert raised.value.status == 413
    assert raised.value.sentence == "Secret exceeds maximum size of 1200 bytes"


def test_the_default_maximum(settings: Settings) -> None:
    size = 10_485_760
    assert size == settings.MAX_SECRET_SIZE
    content = "é" * (size // 2)
    assert reveal_share(share(content).share_id, SERVICE).content == content.encode()
    with pytest.raises(SecretTooLarge):
        share(content + "x")


def test_what_the_row_holds(actor: Actor) -> None:
    created = create_share(Draft("é", "1h", True, "label"), actor)
    row = row_of(created)
    assert (row.size, row.label, row.one_time) == (2, "label", True)
    assert row.expires_at == created.expires_at
    assert bytes(row.deletion_digest) == tokens.digest(created.deletion_token)
    event = AuditEvent.objects.get()
    assert event.kind == "created"
    assert bytes(event.address_hash or b"") == actor.address_hash


def test_nothing_at_rest_tells_content_id_or_token() -> None:
    created = share("s3cret content")
    stored = b"\0".join(_everything())
    halves = (created.share_id.removeprefix("fug_"), created.deletion_token.removeprefix("tok_"))
    for plain in ("s3cret", *halves):
        assert plain.encode() not in stored


def _everything() -> list[bytes]:
    found = []
    with connection.cursor() as cursor:
        for table in ("secrets_app_share", "audit_app_auditevent", "vault_app_storedvalue"):
            cursor.execute(f"SELECT * FROM {table}")
            found += [_bytes(field) for row in cursor.fetchall() for field in row]
    assert found
    return found


def _bytes(field: object) -> bytes:
    return bytes(field) if isinstance(field, bytes | memoryview) else str(field).encode()


def test_each_share_has_its_own_ids_and_name() -> None:
    made = [share("same") for _ in range(20)]
    assert len({created.share_id for created in made}) == 20
    assert len({created.deletion_token for created in made}) == 20
    assert len(set(Share.objects.values_list("value_name", flat=True))) == 20


def test_domain_errors_carry_status_and_sentence() -> None:
    with pytest.raises(FugataError) as raised:
        share("")
    assert str(raised.value) == raised.value.sentence
