"""What is wrong, and what to do about it: one function for each check.

A check returns a Finding. It is added to LOCAL_CHECKS (the database, settings) or to remote_checks
(what may hang: these run in separate threads, for CHECK_TIMEOUT at most).
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial

from django.conf import settings
from django.db import DataError, connection
from django.db.models import Min
from django.template.defaultfilters import pluralize
from django.utils.timesince import timesince

from audit_app.models import AuditEvent
from fugata_core.clock import now
from fugata_core.failing_requests import failing, full_disk
from fugata_core.limits import CHECK_THREADS
from fugata_core.migration_state import unapplied_migrations
from operations_app import statistics
from operations_app.diagnostics.probes import probe_key_provider, probe_value_store
from vault_app.backends import key_provider
from vault_app.errors import VaultError
from vault_app.keycheck import unavailable_keys
from vault_app.keys.local import LocalKeyring
from vault_app.keys.wrapped_key import provider_of
from vault_app.leftovers import overdue as values_overdue
from vault_app.lost_values import REMEDY, all_rows, exceeds_tenth, rows_marked
from vault_app.models import KeyEncryptionKey
from vault_app.presence import MOVING, misplaced
from vault_app.usage import rows_of, with_rows
from vault_app.writes import writes

#: Seconds that the page waits for remote checks.
CHECK_TIMEOUT = 3.0
#: Beat asks for a purge every minute; it may miss a few before anybody needs to look.
BEAT_OVERDUE = timedelta(minutes=5)
COUNTS_OVERDUE = timedelta(minutes=20)
SEAL_OVERDUE = timedelta(minutes=10)
PURGE_BEHIND = timedelta(minutes=5)


class Level(StrEnum):
    """How urgently a finding needs attention."""

    GOOD = "good"
    NOTICE = "notice"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was checked, its state, and what to do if that is not good."""

    subject: str
    level: Level
    summary: str
    remedy: str = ""


Check = Callable[[], Finding]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, the worst first."""

    findings: list[Finding]

    @property
    def problems(self) -> list[Finding]:
        """Those that need attention."""
        return [finding for finding in self.findings if finding.level != Level.GOOD]

    @property
    def good(self) -> list[Finding]:
        """Those that are as they should be."""
        return [finding for finding in self.findings if finding.level == Level.GOOD]


def _good(subject: str, summary: str) -> Finding:
    return Finding(subject, Level.GOOD, summary)


def migrations() -> Finding:
    """Is the database as this version expects it?"""
    unapplied = unapplied_migrations()
    if not unapplied:
        return _good("Database", f"{connection.display_name} answers and is migrated.")
    return Finding(
        "Database",
        Level.BAD,
        f"{unapplied} migration{pluralize(unapplied)} of this version did not run.",
        "Run manage.py prepare, then restart every process.",
    )


def _overdue(seen: datetime | None, max_age: timedelta) -> bool:
    """Return whether a task was last seen too long ago; a new installation is given that long."""
    since = seen or statistics.installed_at()
    return since is None or now() - since > max_age


def beat() -> Finding:
    """Do beat and a worker run?"""
    seen = statistics.last_success(statistics.PURGE_TASK)
    if not _overdue(seen, BEAT_OVERDUE):
        return _good("Beat and worker", "The periodic purge runs.")
    message = "No periodic purge has ever run to its end."
    if seen is not None:
        message = f"The last periodic purge ended {timesince(seen, now())} ago."
    return Finding(
        "Beat and worker",
        Level.BAD,
        message,
        "Beat must run once, and at least one Celery worker. Look whether both are up"
        " and what their logs say. Expired shares stay closed to readers meanwhile.",
    )


def counts() -> Finding:
    """Are the numbers of the charts up to date?"""
    if not _overdue(statistics.last_success(statistics.COUNT_TASK), COUNTS_OVERDUE):
        return _good("Charts", "The hours gone by are counted.")
    return Finding(
        "Charts",
        Level.NOTICE,
        "The hours gone by were not counted lately: charts may miss older events.",
        "The task count_hours runs every five minutes. Look at the worker's log.",
    )


def purge() -> Finding:
    """Is the purge behind?"""
    backlog = statistics.backlog()
    if backlog.lag <= PURGE_BEHIND:
        return _good("Purge", "No share has waited for the purge for long.")
    waiting = f"{backlog.waiting}{'+' if backlog.waiting >= statistics.MAX_COUNTED else ''}"
    return Finding(
        "Purge",
        Level.BAD,
        f"{waiting} expired share{pluralize(backlog.waiting)} wait, the oldest for"
        f" {timesince(now() - backlog.lag, now())}.",
        "Press “Purge now”, or run manage.py purge_expired. If it comes back, the worker is down"
        " or too slow.",
    )


def trail() -> Finding:
    """Is what happens sealed?"""
    waiting = AuditEvent.objects.filter(position=None)
    try:
        first = waiting.aggregate(Min("at"))["at__min"]
    except DataError:  # a moment that no event has
        first = datetime.min.replace(tzinfo=UTC)
    if first is None or abs(now() - first) < SEAL_OVERDUE:
        return _good("Audit trail", "What happens is sealed.")
    return Finding(
        "Audit trail",
        Level.BAD,
        f"Events have waited to be sealed since {first:%Y-%m-%d %H:%M} UTC.",
        "The worker does it every minute, and its log says why not. Run manage.py audit verify"
        " there. Until then, whoever writes to the database can change these events.",
    )


def replaced_keys() -> Finding:
    """Do rows still need keys that no longer wrap?"""
    try:
        others = KeyEncryptionKey.objects.exclude(id=key_provider().primary)
    except VaultError:
        return Finding("Keys in use", Level.BAD, "There is no primary key.", _KEYS_REMEDY)
    in_use = [(key.id, rows_of(key)) for key in with_rows(others) if rows_of(key)]
    if not in_use:
        return _good("Keys in use", "Every row is wrapped by the primary key.")
    needed = ", ".join(f"{key} ({rows} row{pluralize(rows)})" for key, rows in in_use)
    return Finding(
        "Keys in use",
        Level.NOTICE,
        f"Replaced keys are still in use: {needed}.",
        "Do not take a key away that is in use: what it wrapped could never be opened again."
        " Re-wrap first, or wait until the shares have expired.",
    )


def requests() -> Finding:
    """Does the database fail this process's requests?"""
    if full_disk:
        summary, remedy = "The disk of the database is full.", "Make room on it."
        return Finding("Requests", Level.BAD, summary, remedy)
    if failing.go_on:
        summary = "The database answers, and fails requests in a row."
        return Finding("Requests", Level.BAD, summary, _REQUESTS_REMEDY)
    return _good("Requests", "The database does not fail them.")


def lost_values() -> Finding:
    """Do rows point to values that are known to be gone?"""
    lost, rows = rows_marked(), all_rows()
    if not lost:
        return _good("Lost values", "No row is marked as one whose value is lost.")
    return Finding(
        "Lost values",
        Level.BAD if exceeds_tenth(lost, rows) else Level.NOTICE,
        f"{lost} of {rows} rows {pluralize(lost, 'has,have')} lost {pluralize(lost, 'its,their')}"
        " value.",
        REMEDY,
    )


def leftovers() -> Finding:
    """Do values stay in the store that should be gone?"""
    overdue = values_overdue()
    if not overdue:
        return _good("Leftovers", "No value is there for a day after its row went.")
    return Finding(
        "Leftovers",
        Level.NOTICE,
        f"{overdue} value{pluralize(overdue)} that nothing points to could not be deleted from the"
        " value store for more than a day.",
        "They are still there, sealed. The worker's log says why each hour (“values were not"
        " deleted”, “values stay for now”): does a policy refuse to delete Secrets, or keep them"
        " with finalizers? Once that is mended, the task deletes them, or manage.py"
        " reconcile_values at once.",
    )


_KEYS_REMEDY = (
    "Restore the keys from their back-up (FUGATA_KEYS or the keyring file, or access to the key"
    " service). Nothing that they wrapped opens until then. Do not make new ones instead."
)


def production() -> Finding:
    """Are the settings fit for the internet?"""
    if settings.DEBUG:
        summary, remedy = "DEBUG is on.", "Unset DEBUG: errors may show what must not be seen."
    elif not settings.HTTPS:
        summary = "Links and cookies do not require HTTPS."
        remedy = (
            "Put a proxy with TLS in front and set PUBLIC_URL to its https address. On a machine"
            " that only you use there is nothing to do."
        )
    else:
        return _good("Settings", "PUBLIC_URL is https.")
    return Finding("Settings", Level.NOTICE, summary, remedy)


def store(elsewhere: str = "") -> Finding:
    """Does the value store answer, and take what is new? `elsewhere`: what misplaced() said."""
    if elsewhere:
        return Finding("Value store", Level.BAD, elsewhere, MOVING)
    name = str(settings.VALUE_STORE["BACKEND"]).rpartition(".")[2]
    probe_value_store()
    if writes.are_failing:
        summary = f"{name} answers, but takes nothing new."
        return Finding("Value store", Level.BAD, summary, _WRITES_REMEDY)
    return _good("Value store", f"{name} answers.")


def keys() -> Finding:
    """Does the key provider wrap and unwrap, and will it go on?"""
    name = str(settings.KMS_PROVIDER["BACKEND"]).rpartition(".")[2]
    probe_key_provider()
    if warning := key_provider().warning():
        return Finding("Key provider", Level.NOTICE, warning, _ACCESS_REMEDY)
    return _good("Key provider", f"{name} wraps and unwraps.")


def redis() -> Finding:
    """Does Redis answer, and take what is new?"""
    if not settings.REDIS_URL:
        return _good("Redis", "Not configured: one web process keeps rate limits in its memory.")
    from fugata_core.redis_client import client  # large, and not everybody has Redis

    with client(CHECK_TIMEOUT) as asked:
        asked.set(f"{settings.REDIS_PREFIX}:check", "", px=1)
    return _good("Redis", "It answers, and takes what is new.")


def known_keys(known: list[KeyEncryptionKey]) -> Finding:
    """Are all keys that rows may need available, and will be after a restart?"""
    if _has_lost_keyring(known):
        summary = (
            "The keyring file is missing or can't be read. Only processes that read it before have"
            " the keys, in their memory."
        )
        return Finding("Keys", Level.BAD, summary, _KEYRING_REMEDY)
    missing = unavailable_keys(known)
    if not missing:
        return _good("Keys", "Every key that the database knows is at hand.")
    remedy = f"{_KEYS_REMEDY} {_TAKEN_OUT}"
    return Finding("Keys", Level.BAD, f"Not at hand: {', '.join(missing)}.", remedy)


def _has_lost_keyring(known: list[KeyEncryptionKey]) -> bool:
    """Return whether keys of the keyring file are known, and in this process's memory alone."""
    if all(provider_of(key.id) != "local" for key in known):
        return False
    with suppress(VaultError):  # a keyring that is not set up, or can't be loaded at all
        keyring = key_provider().provider("local")
        return isinstance(keyring, LocalKeyring) and keyring.has_lost_file()
    return False


_TAKEN_OUT = (
    "If you took one out that no row needs (manage.py list_keys), run manage.py retire_key before"
    " the next start, which refuses."
)
_KEYRING_REMEDY = (
    "Put the file back (FUGATA_HOME/keyring, from its back-up) before anything is restarted:"
    " without it, a process that starts anew opens nothing, nor what is sealed meanwhile."
)
_ACCESS_REMEDY = (
    "Put a token that lasts in its place in time: without one, nothing can be created or opened"
    " (docs/keys.md)."
)
_REQUESTS_REMEDY = (
    "The log says why, at “the database failed”. Are all tables there (manage.py prepare), may the"
    " role of DATABASE_URL use them, and does the database take more connections?"
)
LOCAL_CHECKS: list[Check] = [
    migrations,
    requests,
    beat,
    purge,
    counts,
    trail,
    replaced_keys,
    lost_values,
    leftovers,
    production,
]
_BACKEND_REMEDY = (
    "Look whether it runs and whether Fugata may use it. Nothing is lost meanwhile: opening fails"
    " without using a share up."
)
_WRITES_REMEDY = (
    "The log says why, at “health”. First see whether KUBERNETES_NAMESPACE names the right"
    " namespace: with a wrong one, nothing opens either. Otherwise a policy or a quota refuses what"
    " is new, or etcd is full; what is stored can then still be opened."
)
_REMEDIES = {
    "Value store": _BACKEND_REMEDY,
    "Key provider": _BACKEND_REMEDY,
    "Redis": "Look whether Redis runs at REDIS_URL, and whether it is full or only a replica, which"
    " take nothing new. Meanwhile requests are not limited, and"
    " periodic tasks do not reach the worker.",
    "Keys": _BACKEND_REMEDY,
}
_ORDER = [Level.BAD, Level.NOTICE, Level.GOOD]
# A check that hangs keeps its thread; once none is free, further checks time out too.
_pool = ThreadPoolExecutor(max_workers=CHECK_THREADS, thread_name_prefix="findings")


def remote_checks() -> dict[str, Check]:
    """Return the checks that may hang, by their subject. They never query the database."""
    known = list(KeyEncryptionKey.objects.order_by("id"))
    return {
        "Value store": partial(store, misplaced()),
        "Key provider": keys,
        "Redis": redis,
        "Keys": partial(known_keys, known),
    }


def run_checks() -> Diagnosis:
    """Return what every check finds, in a few seconds at most."""
    pending = {subject: _pool.submit(check) for subject, check in remote_checks().items()}
    findings = [check() for check in LOCAL_CHECKS]
    wait(pending.values(), timeout=CHECK_TIMEOUT)
    findings += [_answer(subject, future) for subject, future in pending.items()]
    return Diagnosis(sorted(findings, key=lambda finding: _ORDER.index(finding.level)))


def _answer(subject: str, future: Future[Finding]) -> Finding:
    if not future.done():
        future.cancel()
        message = f"No answer within {CHECK_TIMEOUT:g} seconds."
        return Finding(subject, Level.BAD, message, _REMEDIES[subject])
    error = future.exception()
    if error is None:
        return future.result()
    # Its own words may hold an address or a secret.
    message = f"It can't be used ({type(error).__name__})."
    return Finding(subject, Level.BAD, message, _REMEDIES[subject])
