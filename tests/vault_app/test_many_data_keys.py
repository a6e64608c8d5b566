"""Many data keys and a key service with a quota, or one that goes away: what was done stays."""

import itertools
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError
from pytest_django.fixtures import Settings

from operations_app.backups import fsck
from secrets_app.models import Share
from tests.secrets_app.support import share
from tests.support.servers.vault import Vault
from tests.vault_app.support import run, use_new_vault
from vault_app import keycheck, rewrap, side_by_side, versions
from vault_app.backends import key_provider
from vault_app.errors import KeyServiceAway, KeyServiceBusy, KeyUnavailable, VaultError
from vault_app.models import KeyEncryptionKey
from vault_app.versions import data_keys_by_version

pytestmark = pytest.mark.django_db

KEY, MANY = "vault:transit/one", 40


@pytest.fixture(autouse=True)
def rotated(settings: Settings, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """Many data keys under the first version of a key that has a second one."""
    monkeypatch.setattr(rewrap, "PASS_PAUSE", 0.0)
    monkeypatch.setattr(rewrap, "SETTLE", 0.0)
    monkeypatch.setattr(versions, "longest_request", timedelta)
    use_new_vault(settings, vault, timeout=1.0)
    for number in range(MANY):
        share(f"s3cret {number}")
    vault.rotate("one")
    return vault


def test_a_quota_only_makes_it_slower(rotated: Vault) -> None:
    rotated.limit(30)
    assert f"{MANY} data keys re-wrapped" in run("rewrap_keys", "--all")
    assert data_keys_by_version(KEY) == {2: MANY}
    assert "the keys are at hand" in run("fsck")


def test_what_begins_and_ends_such_work_is_as_patient(
    rotated: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call of it is refused at first."""
    for operation in ("wrap", "unwrap"):
        work = getattr(key_provider().chosen, operation)
        monkeypatch.setattr(key_provider().chosen, operation, _refused_at_first(work))
    keycheck.renew_check_value()
    keycheck.verify()
    assert versions.newest_version() == 2
    assert keycheck.problems(KeyEncryptionKey.objects.all()) == {}
    assert keycheck.unavailable_keys(KeyEncryptionKey.objects.all()) == [KEY]


def _refused_at_first(call: Callable[..., bytes]) -> Callable[..., bytes]:
    refuses = itertools.cycle([True, False])

    def now_and_then(*arguments: Any) -> bytes:
        if next(refuses):
            raise KeyServiceBusy("asked too often")
        return call(*arguments)

    return now_and_then


def test_what_was_done_before_a_failure_is_kept(
    rotated: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one batch too; the next run does the rest alone. (The start of a run wraps too.)"""
    wrap, done = key_provider().chosen.wrap, threading.Semaphore(30)

    def and_then_away(*arguments: Any) -> bytes:
        if not done.acquire(blocking=False):
            rotated.seal()
        return wrap(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(key_provider().chosen, "wrap", and_then_away)
        with pytest.raises(CommandError, match="data keys were re-wrapped, then a key") as caught:
            run("rewrap_keys", "--all")
    moved = data_keys_by_version(KEY)[2]
    assert 0 < moved < MANY
    assert str(caught.value).startswith(f"{moved} data keys")
    rotated.unseal()
    before = rotated.count("decrypt")
    assert f"{MANY - moved} data keys re-wrapped" in run("rewrap_keys", "--all")
    assert rotated.count("decrypt") - before < MANY - moved + 5


def test_patience_has_an_end(rotated: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "PATIENCE", 0.5)
    rotated.limit(MANY, 3600)  # the start of a run takes a few of them
    with pytest.raises(KeyServiceBusy):
        list(rewrap.rewrap_all())
    assert 0 < data_keys_by_version(KEY)[2] < MANY


def test_those_who_are_refused_together_slow_it_down_once() -> None:
    """Else one burst would cost pauses of seconds, which take a minute to get short again."""
    at_once = key_provider().concurrency
    together = threading.Barrier(at_once)
    attempts: list[side_by_side.Attempts] = []

    def work(attempt: side_by_side.Attempts, number: int) -> int:
        first = iter([number])

        def call() -> int:
            for _ in first:
                together.wait(10)
                raise KeyServiceBusy("asked too often")
            attempts.append(attempt)
            return number

        return attempt.patiently(call)

    assert side_by_side.side_by_side(work, range(at_once)) == list(range(at_once))
    assert {attempt.pause <= side_by_side.FIRST_PAUSE for attempt in attempts} == {True}


def test_where_the_service_is_away_the_rest_is_not_tried() -> None:
    tried: list[int] = []

    def work(attempts: side_by_side.Attempts, number: int) -> int:
        def call() -> int:
            tried.append(number)
            raise KeyServiceAway("away")

        return attempts.patiently(call)

    outcomes = side_by_side.side_by_side(work, range(100))
    assert len(tried) <= key_provider().concurrency
    assert all(isinstance(outcome, KeyUnavailable) for outcome in outcomes)


def test_one_that_can_not_be_had_does_not_keep_the_others() -> None:
    def work(attempts: side_by_side.Attempts, number: int) -> int:
        def call() -> int:
            if number == 3:
                raise KeyUnavailable("not listed")
            return number

        return attempts.patiently(call)

    outcomes = side_by_side.side_by_side(work, range(20))
    assert sum(isinstance(outcome, VaultError) for outcome in outcomes) == 1


def test_fsck_opens_data_keys_side_by_side(rotated: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    unwrap, together = key_provider().chosen.unwrap, threading.Barrier(4)

    def with_others(*arguments: Any) -> bytes:
        together.wait(10)
        return unwrap(*arguments)

    monkeypatch.setattr(key_provider().chosen, "unwrap", with_others)
    (batch,) = fsck._batches(Share)
    assert all(isinstance(key, bytes) for key in fsck._data_keys(batch))
