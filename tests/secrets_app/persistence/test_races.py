"""Many at once: exactly one removes a share, and each expired share is purged once."""

import pytest

from audit_app.actors import SERVICE
from audit_app.models import AuditEvent
from secrets_app.models import Share
from secrets_app.persistence import ShareTable
from tests.secrets_app.support import at_once, kinds, put
from vault_app.models import StoredValue

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.soak]

OPENED = AuditEvent.Kind.OPENED


def test_exactly_one_removes_it(table: ShareTable, rounds: int) -> None:
    shares = [put(table) for _ in range(rounds)]
    results = at_once(
        20, rounds, lambda number: table.remove(bytes(shares[number].digest), OPENED, SERVICE)
    )
    assert [round_.count(True) for round_ in results] == [1] * rounds
    assert Share.objects.count() == StoredValue.objects.count() == 0
    assert all(kinds(bytes(share.digest)) == ["created", "opened"] for share in shares)


def test_no_opening_is_noted_after_the_removal(table: ShareTable, rounds: int) -> None:
    """An opening that was noted came before the removal in the trail, or did not happen."""
    shares = [put(table) for _ in range(rounds)]
    turns = iter(range(6 * rounds))

    def note_or_remove(number: int) -> bool:
        digest = bytes(shares[number].digest)
        if next(turns) % 3:
            return table.record_opening(digest, SERVICE)
        return table.remove(digest, AuditEvent.Kind.DELETED, SERVICE)

    at_once(6, rounds, note_or_remove)
    for share in shares:
        assert not table.record_opening(bytes(share.digest), SERVICE)
        assert kinds(bytes(share.digest)).count("deleted") <= 1


def test_several_purges_take_each_share_once(table: ShareTable) -> None:
    expired = [put(table, -1) for _ in range(60)]
    taken = at_once(6, 20, lambda _: table.purge(5))
    names = [name for round_ in taken for batch in round_ for name in batch]
    names += table.purge(100)
    assert sorted(names) == sorted(share.value_name for share in expired)
    assert AuditEvent.objects.filter(kind="expired").count() == 60
    assert Share.objects.count() == StoredValue.objects.count() == 0
