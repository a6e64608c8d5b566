"""A store that has nothing of what rows need is told from one that is merely empty."""

import pytest

from audit_app.actors import SERVICE
from secrets_app.actions.reveal import reveal_share
from secrets_app.models import Share
from tests.secrets_app.support import share
from tests.support.in_process.doubles import MemoryStore
from vault_app import leftovers, lost_values
from vault_app.models import Leftover
from vault_app.reconcile import reconcile_all

pytestmark = pytest.mark.django_db


def foreign() -> list[str]:
    return [app for app, report in reconcile_all() if report.foreign]


def test_a_store_without_any_value(remote_store: MemoryStore) -> None:
    assert foreign() == []
    share()
    assert foreign() == []
    remote_store.values.clear()
    assert foreign() == ["shares"]


def test_values_that_are_known_to_be_lost(remote_store: MemoryStore) -> None:
    share()
    remote_store.values.clear()
    lost_values.mark(Share.value_names())
    assert foreign() == []


def test_a_share_that_is_opened_and_one_that_is_made_meanwhile(remote_store: MemoryStore) -> None:
    first = share()

    def open_it() -> None:
        if remote_store.calls.count("list") == 1:  # of the other app's values
            return
        remote_store.before = {}
        reveal_share(first.share_id, SERVICE)
        kept = dict(remote_store.values)
        share()
        remote_store.values = kept  # the listing was made before

    remote_store.before = {"list": open_it}
    assert foreign() == []


def test_leftovers_are_not_forgotten_there(remote_store: MemoryStore) -> None:
    """Each would be missing, and count as deleted."""
    share()
    kept = dict(remote_store.values)
    leftovers.note("shares", ["a leftover"])
    remote_store.values.clear()
    assert foreign() == ["shares"]
    assert Leftover.objects.count() == 1
    remote_store.values = kept
    assert foreign() == []
    assert not Leftover.objects.exists()
