"""Rows that Fugata did not write, in a database that takes any type: sentences that name them."""

from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.db import connection

from audit_app import seal
from audit_app.errors import ChainBroken, NotSealed
from audit_app.models import AuditEvent
from audit_app.prune import prune_events
from audit_app.seal import seal_events
from audit_app.verify import verify
from tests.audit_app.support import events, sealed
from tests.audit_app.test_command import audit

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.sqlite,
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL looks at types"),
]

POSITION = "UPDATE audit_app_auditevent SET position = 'abc\x1b' WHERE position IS NOT NULL"
NO_MOMENT = "UPDATE audit_app_auditevent SET at = 'garbage' WHERE position IS NULL"
NO_DAY = "UPDATE audit_app_auditevent SET at = '2026-13-45 00:00:00' WHERE position IS NULL"
STUB = (
    "INSERT INTO audit_app_auditstub (through, mac, proof, newest_at, pruned_at)"
    " VALUES ('zz\x1b', x'00', x'00', '2026-01-31 00:00:00', '2026-01-31 00:00:00')"
)
LOOKUPS = (
    "INSERT INTO audit_app_lookupcount (minute, username, token, address_hash, repository, count)"
    " VALUES (1, 'alice', 'fgt_abcdef', {}, 'r', {})"
)
REFUSALS = "INSERT INTO audit_app_refusalcount (address_hash, minute, count) VALUES ('abc', 1, 1)"
ROWS = {
    "a position": (POSITION, "auditevent"),
    "no moment": (NO_MOMENT, "auditevent"),
    "no day": (NO_DAY, "auditevent"),
    "a stub": (STUB, "auditstub"),
    "an address": (LOOKUPS.format("'abc'", 1), "lookupcount"),
    "a count": (LOOKUPS.format("x'00'", "'abc'"), "lookupcount"),
    "refusals": (REFUSALS, "refusalcount"),
}
each = pytest.mark.parametrize(("statement", "table"), ROWS.values(), ids=ROWS)


def write(statement: str) -> None:
    """Write a row past the service: one sealed event and one that waits are there before."""
    sealed(1)
    events(1)
    with connection.cursor() as cursor:
        cursor.execute(statement)


def row_of(table: str) -> str:
    return rf"write the (row of the table audit_app_{table} with the row|event with the )id \d+\."


@each
def test_nothing_is_sealed(statement: str, table: str) -> None:
    write(statement)
    with pytest.raises(NotSealed, match=row_of(table)):
        list(seal_events())
    with pytest.raises(CommandError, match=row_of(table)):
        audit("seal")
    assert AuditEvent.objects.filter(position=None).exists()


@each
def test_the_trail_does_not_verify(statement: str, table: str) -> None:
    write(statement)
    with pytest.raises(CommandError, match=row_of(table)) as raised:
        audit("verify")
    assert "\x1b" not in str(raised.value)
    problem = verify().problem or ""
    assert f"audit_app_{table}" in problem


@pytest.mark.parametrize("statement", [NO_MOMENT, NO_DAY])
def test_an_export_ends_with_a_sentence(statement: str) -> None:
    write(statement)
    with pytest.raises(CommandError, match=row_of("auditevent")):
        audit("export")


@pytest.mark.parametrize("statement", [POSITION, STUB])
def test_nothing_is_pruned(statement: str) -> None:
    write(statement)
    with pytest.raises(ChainBroken, match="Fugata did not write"):
        prune_events(timedelta(0))


def test_what_fails_for_another_reason_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise TypeError("injected")

    monkeypatch.setattr(seal, "convert_lookups_to_events", fail)
    with pytest.raises(TypeError, match="injected"):
        list(seal_events())


def test_rows_of_our_own_are_never_odd() -> None:
    sealed(30, age=timedelta(days=9))
    assert prune_events(timedelta(days=8)) == 30
    sealed(30)
    events(30)
    assert verify().problem is None


def test_nothing_of_a_row_reaches_the_terminal_raw() -> None:
    events(1)
    AuditEvent.objects.update(subject="a\x1b[31m\x9bb")
    assert "a\\u001b[31m\\u009bb" in audit("export")
    sealed(1)
    AuditEvent.objects.filter(position=1).update(kind="\x1b[2J")
    with pytest.raises(CommandError, match="position 1 was changed") as raised:
        audit("verify")
    assert "\x1b" not in str(raised.value)
