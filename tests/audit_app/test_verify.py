"""What an attacker with the database does to the trail is found, and the first of it is named."""

import secrets
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import F
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from audit_app import chain
from audit_app.chain import GENESIS_MAC, Head, next_mac
from audit_app.heads import head_store
from audit_app.models import AuditEvent, AuditStub
from audit_app.prune import prune_events
from audit_app.verify import verify
from tests.audit_app.support import at, edit, events, sealed

pytestmark = pytest.mark.django_db

SIZE = 12
positions = st.integers(1, SIZE)

FIELDS: dict[str, st.SearchStrategy[object]] = {
    "kind": st.sampled_from([*AuditEvent.Kind.values, "else"]),
    "share_digest": st.none() | st.binary(max_size=32),
    "repository": st.text("abc-", max_size=5),
    "secret_key": st.text("abc-", max_size=5),
    "username": st.text("abc-", max_size=5),
    "token": st.text("abc-", max_size=5),
    "subject": st.text("abc-", max_size=5),
    "address_hash": st.none() | st.binary(max_size=16),
    "request_id": st.text("abc-", max_size=5),
    "count": st.integers(0, 9),
    "mac": st.none() | st.binary(min_size=32, max_size=32),
}


class Undo(Exception):
    """Ends a block whose changes are not to stay."""


def verdict_after(attack: Callable[[], None], published: Head | None = None) -> str | None:
    """Return what is found after `attack`, which is undone."""
    found: list[str | None] = []
    try:
        with transaction.atomic():
            attack()
            found.append(verify([published] if published else []).problem)
            raise Undo
    except Undo:
        return found[0]


@pytest.fixture
def head(db: None) -> Head:
    """A sealed trail."""
    return sealed(SIZE)


def test_an_honest_trail(head: Head) -> None:
    verdict = verify([head])
    assert (verdict.problem, verdict.verified, verdict.unsealed) == (None, SIZE, 0)
    assert verdict.head == head
    events(3)
    assert verify([head]).unsealed == 3


@given(position=positions, field=st.sampled_from(sorted(FIELDS)), data=st.data())
def test_any_field_changed(head: Head, position: int, field: str, data: st.DataObject) -> None:
    value = data.draw(FIELDS[field])
    before = getattr(at(position), field)
    same = value == (bytes(before) if isinstance(before, bytes | memoryview) else before)
    problem = verdict_after(lambda: edit(position, **{field: value}))
    assert (problem is None) == same
    if problem:
        assert f"position {position} was changed" in problem


@given(position=positions, microseconds=st.integers(-(10**12), 10**12).filter(bool))
def test_the_time_changed(head: Head, position: int, microseconds: int) -> None:
    moved = at(position).at + timedelta(microseconds=microseconds)
    problem = verdict_after(lambda: edit(position, at=moved))
    assert problem
    assert f"position {position} was changed" in problem


@given(gone=st.sets(st.integers(1, SIZE - 1), min_size=1))
def test_removed(head: Head, gone: set[int]) -> None:
    rows = AuditEvent.objects.filter(position__in=gone)

    def delete() -> None:
        rows.delete()

    def unseal() -> None:
        rows.update(position=None, mac=None)

    for attack in (delete, unseal):
        problem = verdict_after(attack)
        assert problem == f"the event at position {min(gone)} was removed"


@given(first=positions, second=positions)
def test_two_swapped(head: Head, first: int, second: int) -> None:
    def swap(*, with_mac: bool) -> None:
        one, two = at(first), at(second)
        macs = (one.mac, two.mac) if with_mac else (two.mac, one.mac)
        AuditEvent.objects.filter(pk=one.pk).update(position=None)
        AuditEvent.objects.filter(pk=two.pk).update(position=first, mac=macs[1])
        AuditEvent.objects.filter(pk=one.pk).update(position=second, mac=macs[0])

    for with_mac in (True, False):
        problem = verdict_after(lambda w=with_mac: swap(with_mac=w))  # type: ignore[misc]
        if first == second:
            continue
        assert problem
        assert f"position {min(first, second)} was changed" in problem


@given(position=st.integers(1, SIZE + 1), copied=positions)
def test_inserted(head: Head, position: int, copied: int) -> None:
    def insert() -> None:
        forged = at(copied)
        later = AuditEvent.objects.filter(position__gte=position)
        for each in later.order_by("-position"):  # the constraint is looked at row by row
            AuditEvent.objects.filter(pk=each.pk).update(position=F("position") + 1)
        forged.pk, forged.position = None, position
        forged.save(force_insert=True)

    problem = verdict_after(insert)
    assert problem
    assert f"position {position} was changed, inserted or moved" in problem


def test_a_chain_recomputed_without_the_key(head: Head, settings: Settings) -> None:
    def recompute() -> None:
        edit(3, kind="deleted")
        ours, settings.AUDIT_KEY = settings.AUDIT_KEY, "the attacker's guess"
        before = bytes(at(2).mac or b"")
        for position in range(3, SIZE + 1):
            before = next_mac(before, position, at(position))
            edit(position, mac=before)
        settings.AUDIT_KEY = ours

    problem = verdict_after(recompute)
    assert problem
    assert "position 3 was changed" in problem


@given(left=st.integers(0, SIZE - 1))
def test_a_tail_cut_off(head: Head, left: int) -> None:
    def cut() -> None:
        AuditEvent.objects.filter(position__gt=left).delete()

    assert verdict_after(cut) is None, "no chain can show that its end is missing"
    problem = verdict_after(cut, published=head)
    assert problem
    assert f"the trail ends at position {left}, and position {SIZE} was published" in problem


def test_a_restored_older_database_that_went_on(head: Head) -> None:
    def restore() -> None:
        AuditEvent.objects.filter(position__gt=SIZE - 2).delete()
        head_store().replace(chain.head())
        sealed(4)

    problem = verdict_after(restore, published=head)
    assert problem == f"the chain at position {SIZE} is not the one that was published"


def test_pruned_events_leave_a_stub(db: None) -> None:
    old = sealed(5, age=timedelta(days=500))
    sealed(4)
    assert prune_events(timedelta(days=400)) == 5
    verdict = verify()
    assert (verdict.problem, verdict.verified, verdict.head.position) == (None, 4, 9)
    assert AuditStub.objects.get().through == 5
    assert verify([old]).problem is None
    assert verify([Head(5, GENESIS_MAC)]).problem
    sealed(3)
    assert verify().problem is None


STUB_ATTACKS: dict[str, Callable[[], object]] = {
    "removed": lambda: AuditStub.objects.all().delete(),
    "moved": lambda: AuditStub.objects.update(through=6),
    "mac": lambda: AuditStub.objects.update(mac=secrets.token_bytes(32)),
    "time": lambda: AuditStub.objects.update(newest_at=at(6).at),
    "forged": lambda: AuditStub.objects.create(
        through=7, mac=bytes(at(7).mac or b""), proof=bytes(32), newest_at=at(7).at
    ),
    "a gap behind it": lambda: AuditEvent.objects.filter(position=6).delete(),
}


@pytest.mark.parametrize("attack", STUB_ATTACKS.values(), ids=STUB_ATTACKS)
def test_attacks_on_the_stub(db: None, attack: Callable[[], object]) -> None:
    sealed(5, age=timedelta(days=500))
    sealed(4)
    prune_events(timedelta(days=400))
    attack()
    assert verify().problem


def test_progress_is_reported(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit_app.verify.STEP", 4)
    sealed(10)
    reported: list[int] = []
    verify(progress=reported.append)
    assert reported == [4, 8]
