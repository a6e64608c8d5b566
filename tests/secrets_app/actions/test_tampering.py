"""Somebody edits the database: what was sealed opens under its own terms or not at all."""

from datetime import timedelta

import pytest

from audit_app.actors import SERVICE
from fugata_core import tokens
from secrets_app import ids
from secrets_app.actions.create import CreatedShare
from secrets_app.actions.reveal import reveal_share
from secrets_app.errors import DecryptFailed
from secrets_app.models import Share
from tests.secrets_app.support import replace_value, row_of, share

pytestmark = pytest.mark.django_db


def assert_closed(created: CreatedShare) -> None:
    with pytest.raises(DecryptFailed):
        reveal_share(created.share_id, SERVICE)
    assert Share.objects.filter(digest=tokens.digest(created.share_id)).exists()


def edit(created: CreatedShare, **fields: object) -> None:
    Share.objects.filter(digest=tokens.digest(created.share_id)).update(**fields)


@pytest.mark.parametrize(
    "change", [timedelta(seconds=1), timedelta(days=365), timedelta(minutes=-30)], ids=str
)
def test_the_expiry(change: timedelta) -> None:
    created = share()
    edit(created, expires_at=created.expires_at + change)
    assert_closed(created)
    edit(created, expires_at=created.expires_at)
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


@pytest.mark.parametrize("one_time", [True, False])
def test_whether_it_opens_once(one_time: bool) -> None:
    created = share(one_time=one_time)
    edit(created, one_time=not one_time)
    assert_closed(created)
    edit(created, one_time=one_time)
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


def test_the_values_of_two_rows_swapped() -> None:
    mine, other = share("mine"), share("other")
    rows = row_of(mine), row_of(other)
    edit(mine, value_name=rows[1].value_name)
    edit(other, value_name=rows[0].value_name)
    assert_closed(mine)
    assert_closed(other)


def test_the_wrapped_keys_of_two_rows_swapped() -> None:
    mine, other = share("mine"), share("other")
    rows = row_of(mine), row_of(other)
    edit(mine, wrapped_key=bytes(rows[1].wrapped_key))
    edit(other, wrapped_key=bytes(rows[0].wrapped_key))
    assert_closed(mine)
    assert_closed(other)


def test_value_and_key_of_another_row() -> None:
    """All that is sealed moved together, with the same expiry: still another digest and link."""
    mine, victim = share("mine"), share("victim's")
    row = row_of(victim)
    edit(mine, value_name=row.value_name, wrapped_key=bytes(row.wrapped_key))
    assert_closed(mine)


def test_a_row_moved_under_a_digest_of_the_attacker_s() -> None:
    """An attacker's own link, put in the database for another row, opens nothing."""
    victim, own_id = share("victim's"), ids.new_share_id()
    edit(victim, digest=tokens.digest(own_id))
    with pytest.raises(DecryptFailed):
        reveal_share(own_id, SERVICE)
    Share.objects.update(digest=tokens.digest(victim.share_id))
    assert reveal_share(victim.share_id, SERVICE).content == b"victim's"


@pytest.mark.parametrize("field", ["sealed", "wrapped_key"])
def test_bytes_changed_in_place(field: str) -> None:
    created = share()
    if field == "sealed":
        replace_value(created, _changed)
    else:
        edit(created, wrapped_key=_changed(bytes(row_of(created).wrapped_key)))
    assert_closed(created)


def _changed(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("garbage", [b"", b"\x01", b"\x02" * 60, b"\x01" * 13])
def test_garbage_in_their_place(garbage: bytes) -> None:
    by_value, by_key = share("value"), share("key")
    replace_value(by_value, lambda _: garbage)
    edit(by_key, wrapped_key=garbage)
    assert_closed(by_value)
    assert_closed(by_key)
