"""What is wrong is said, with what to do; what hangs is not waited for."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from audit_app.models import AuditEvent
from audit_app.seal import seal_events
from fugata_core import failing_requests
from fugata_core.failing_requests import failing, full_disk
from fugata_core.redis_client import client
from operations_app import statistics
from operations_app.diagnostics import checks
from operations_app.diagnostics.checks import Finding, Level, run_checks
from operations_app.diagnostics.probes import probe_keyring_file
from operations_app.models import TaskSuccess
from repositories_app.actions.secrets import set_secret
from tests.repositories_app.support import opened, people, row
from tests.secrets_app.support import expire, row_of, share
from tests.support.clients.operators import Admin, person, text
from tests.support.in_process.doubles import FaultyKeys, MemoryStore, backend
from tests.support.in_process.keys import use_keyring, use_keys
from tests.support.servers.parts import RedisServer, free_port
from vault_app import keycheck, leftovers
from vault_app.errors import KeyUnavailable, StoreUnavailable
from vault_app.lost_values import mark
from vault_app.models import KeyEncryptionKey, Leftover, StoredValue
from vault_app.writes import MAX_FAILED, Writes

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def well(settings: Settings) -> None:
    """An installation with nothing wrong."""
    settings.HTTPS = True
    KeyEncryptionKey.objects.all().delete()
    keycheck.verify()
    for task in ("purge_expired", "count_hours"):
        statistics.record_success(task)


def problem(subject: str) -> Finding:
    """Return the one problem there is."""
    (found,) = run_checks().problems
    assert found.subject == subject
    assert found.remedy
    return found


def ago(**time: float) -> datetime:
    return datetime.now(UTC) - timedelta(**time)


def test_nothing() -> None:
    state = run_checks()
    assert state.problems == []
    assert {finding.subject for finding in state.good} == {
        "Database",
        "Requests",
        "Beat and worker",
        "Purge",
        "Charts",
        "Audit trail",
        "Keys in use",
        "Leftovers",
        "Lost values",
        "Settings",
        "Value store",
        "Key provider",
        "Redis",
        "Keys",
    }


def test_beat_is_not_running() -> None:
    TaskSuccess.objects.filter(task="purge_expired").update(at=ago(minutes=6))
    assert "ended 6\xa0minutes ago" in problem("Beat and worker").summary


def test_beat_never_ran() -> None:
    TaskSuccess.objects.filter(task="purge_expired").delete()
    assert run_checks().problems == []  # a new installation is given some minutes
    KeyEncryptionKey.objects.update(created_at=ago(minutes=6))
    assert "ever run" in problem("Beat and worker").summary


def test_the_database_fails_requests() -> None:
    for _ in range(failing_requests.MAX_FAILED):
        failing.add("POST")
    found = problem("Requests")
    assert found.level == Level.BAD
    assert "prepare" in found.remedy


def test_the_disk_of_the_database_is_full() -> None:
    full_disk.add("POST")
    assert "disk" in problem("Requests").summary


def test_hours_are_not_counted() -> None:
    TaskSuccess.objects.filter(task="count_hours").update(at=ago(hours=1))
    assert problem("Charts").level == Level.NOTICE


def test_nothing_is_sealed() -> None:
    share()
    assert run_checks().problems == []
    for late in (ago(minutes=30), ago(minutes=-30)):
        AuditEvent.objects.update(at=late)
        found = problem("Audit trail")
        assert found.level == Level.BAD
        assert f"since {late:%Y-%m-%d %H:%M} UTC" in found.summary
    AuditEvent.objects.update(at=ago(minutes=0))
    list(seal_events())
    assert run_checks().problems == []


def test_the_purge_is_behind() -> None:
    created = share()
    expire(created)
    assert run_checks().problems == []
    row = row_of(created)
    row.expires_at = ago(minutes=30)
    row.save()
    assert "1 expired share wait" in problem("Purge").summary.replace("\xa0", " ")


def test_a_replaced_key_is_still_in_use(settings: Settings) -> None:
    share()
    older = KeyEncryptionKey.objects.get()
    use_keys(settings, f"new:{'B' * 42}A=,test:{'A' * 43}=")
    keycheck.verify()
    found = problem("Keys in use")
    assert found.level == Level.NOTICE
    assert f"{older.id} (1 row)" in found.summary


def test_a_key_is_missing() -> None:
    KeyEncryptionKey.objects.create(id="lost", check_value=b"\x01\x04lost" + b"-" * 60)
    found = problem("Keys")
    assert "lost" in found.summary
    assert found.level == Level.BAD
    assert "retire_key" in found.remedy


def test_the_keyring_file_is_lost(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "keyring"
    file.write_text(f"test:{'A' * 43}=\n")
    use_keyring(settings, file)
    assert run_checks().problems == []
    elsewhere = file.rename(tmp_path / "elsewhere")
    found = problem("Keys")
    assert found.level == Level.BAD
    assert "in their memory" in found.summary
    assert "before anything is restarted" in found.remedy
    with pytest.raises(KeyUnavailable):
        probe_keyring_file()
    assert checks.known_keys([]).level == Level.GOOD, "nothing is under its keys any more"
    elsewhere.rename(file)
    assert run_checks().problems == []
    probe_keyring_file()


def test_the_store_fails(remote_store: MemoryStore) -> None:
    remote_store.failing.add("check")
    assert "StoreUnavailable" in problem("Value store").summary


def test_a_value_stays_that_should_be_gone(remote_store: MemoryStore) -> None:
    """A policy may refuse every deletion: nothing else fails then."""
    leftovers.note("shares", ["new", "old"])
    assert run_checks().problems == []
    Leftover.objects.filter(name="old").update(since=ago(days=1, minutes=1))
    assert "1 value that nothing points to could not" in problem("Leftovers").summary


def test_a_value_is_lost() -> None:
    people()
    for number in range(10):
        set_secret(opened(), f"k{number}", "value", SERVICE)
    mark([row("k0").value_name, "of no row"])
    found = problem("Lost values")
    assert found.level == Level.NOTICE
    assert found.summary == "1 of 10 rows has lost its value."
    assert "fsck --repair" in found.remedy


def test_so_many_are_lost_that_the_store_may_be_the_wrong_one() -> None:
    people()
    for number in range(19):
        set_secret(opened(), f"k{number}", "value", SERVICE)
    mark([row("k0").value_name, row("k1").value_name])
    found = problem("Lost values")
    assert found.level == Level.BAD
    assert found.remedy.startswith("Do VALUE_STORE and KUBERNETES_NAMESPACE name the right store?")


def test_values_are_in_the_database_and_another_store_is_set(settings: Settings) -> None:
    created = share()
    StoredValue.objects.create(name="of no row", sealed=b"")
    settings.VALUE_STORE = backend(MemoryStore())
    found = problem("Value store")
    assert found.level == Level.BAD
    assert found.summary.startswith("The value of 1 row is in the database, but VALUE_STORE")
    row_of(created).delete()
    assert "Value store" in {each.subject for each in run_checks().good}


def test_the_store_takes_nothing_new(
    remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = Writes()
    monkeypatch.setattr(checks, "writes", attempts)
    attempts.put(remote_store, "name", b"")
    remote_store.failing.add("put")
    for _ in range(MAX_FAILED):
        assert "Value store" in {found.subject for found in run_checks().good}
        with pytest.raises(StoreUnavailable):
            attempts.put(remote_store, "name", b"")
    assert "takes nothing new" in problem("Value store").summary


def test_the_key_provider_fails(faulty_keys: FaultyKeys) -> None:
    faulty_keys.failing = {"wrap", "unwrap", "check"}
    subjects = {found.subject for found in run_checks().problems}
    assert "Key provider" in subjects


def test_a_store_that_hangs_is_not_waited_for(
    remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch, hanging: threading.Event
) -> None:
    monkeypatch.setattr(checks, "CHECK_TIMEOUT", 0.2)
    remote_store.before["check"] = lambda: (hanging.wait(60), None)[1]
    assert "No answer within" in problem("Value store").summary


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What a hanging store waits for: the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_redis(redis_server: RedisServer, settings: Settings) -> None:
    settings.REDIS_URL = redis_server.url()
    (redis,) = [found for found in run_checks().good if found.subject == "Redis"]
    assert redis.summary == "It answers, and takes what is new."


def test_redis_is_full(own_redis: RedisServer, settings: Settings) -> None:
    settings.REDIS_URL = own_redis.url()
    with client(1) as asked:
        asked.config_set("maxmemory", 1)
    assert problem("Redis").summary == "It can't be used (OutOfMemoryError)."


def test_redis_is_down(settings: Settings) -> None:
    settings.REDIS_URL = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    found = problem("Redis")
    assert "hunter2" not in found.summary + found.remedy


def test_settings_that_are_not_for_the_internet(settings: Settings) -> None:
    settings.HTTPS = False
    assert problem("Settings").level == Level.NOTICE
    settings.DEBUG = True
    assert "DEBUG" in problem("Settings").summary


def test_the_page_names_the_worst_first(settings: Settings) -> None:
    settings.HTTPS = False
    TaskSuccess.objects.all().update(at=ago(hours=1))
    visitor = Admin(person("ada", "auditor"))
    page = text(visitor.get("health/"))
    places = [page.index(subject) for subject in ("Beat and worker:", "Charts:", "Settings:")]
    assert places == sorted(places)
    assert "needs somebody now" in page
    assert "Purge now" not in page
    assert "3 things to look at" in text(visitor.get(""))
    assert "Purge now" in text(Admin(person("olga", "operator")).get("health/"))
