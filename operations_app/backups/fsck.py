"""Checks an installation: rows and values match, and the keys for them are available."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from audit_app.trail import record
from fugata_core.commands import ProgressCallback
from secrets_app.models import Share
from vault_app import envelope
from vault_app.backends import key_provider, remote_store, value_store
from vault_app.errors import DecryptionFailed, KeyUnavailable, ValueMissing
from vault_app.models import Sealed, sealed_models
from vault_app.reconcile import reconcile_all

_ACTOR = Actor(username="fsck")


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """Something that is wrong: `kind` for counting, `what` for people, naming no secret.

    `row`: the row that it is about; `value_name`: the orphan, where the store is the database.
    """

    kind: str
    what: str
    row: Sealed | None = None
    value_name: str | None = None


def find_inconsistencies(
    progress: ProgressCallback = lambda what, count: None,
) -> Iterator[Inconsistency]:
    """Yield what is wrong. Reads every value. Raises StoreUnavailable.

    A share can't be opened without its link: only its data key and its size are checked. A
    repository's secret is opened, and discarded.
    """
    count = 0
    for model in sealed_models():
        for row in model._default_manager.order_by("pk").iterator(chunk_size=200):
            yield from _check_row(row)
            count += 1
            progress("rows", count)
    yield from _orphans()


def _check_row(row: Sealed) -> Iterator[Inconsistency]:
    where = f"{row._meta.verbose_name} {row.pk}"
    try:
        check_data_key(row)
        _check_value(row)
    except ValueMissing:
        yield Inconsistency("row without value", f"{where} has no value", row)
    except KeyUnavailable:
        yield Inconsistency(
            "key missing", f"{where} needs key {row.key_id}, which is not at hand", row
        )
    except DecryptionFailed:
        yield Inconsistency("value does not open", f"{where} has a value that does not open", row)


def check_data_key(row: Sealed) -> None:
    """Unwrap the row's data key. Raises KeyUnavailable, DecryptionFailed."""
    key_provider().unwrap(bytes(row.wrapped_key), row.associated_data().wrap_context())


def _check_value(row: Sealed) -> None:
    sealed = value_store(row.values_of).get(row.value_name)
    if isinstance(row, Share):
        if len(sealed) != row.size + envelope.OVERHEAD:
            raise DecryptionFailed("the value has another size than its row says")
        return
    envelope.unseal(sealed, bytes(row.wrapped_key), row.associated_data())


def _orphans() -> Iterator[Inconsistency]:
    if remote_store() is None:
        stored = [found.name for found in value_store().list()]
        # The rows afterwards: what is made meanwhile is not among the values.
        used = {name for model in sealed_models() for name in model.value_names()}
        for name in stored:
            if name not in used:
                what = f"value {name} belongs to no row"
                yield Inconsistency("value without row", what, value_name=name)
        return
    for app, report in reconcile_all(dry_run=True):
        for _ in range(report.orphans):
            yield Inconsistency("value without row", f"a value of {app} belongs to no row")


def repair(found: list[Inconsistency]) -> Counter[str]:
    """Delete rows whose value is gone for good, and values that no row points to.

    Rows whose key is missing, or whose value does not open, stay: a key may come back. Returns
    how many were repaired, by kind.
    """
    done: Counter[str] = Counter()
    for finding in found:
        if finding.kind == "row without value" and finding.row is not None:
            _delete(finding.row)
            done[finding.kind] += 1
    if remote_store() is None:
        orphans = [each.value_name for each in found if each.value_name is not None]
        with transaction.atomic():
            for name in orphans:
                value_store().delete(name)
        done["value without row"] = len(orphans)
    elif any(finding.kind == "value without row" for finding in found):
        done["value without row"] = sum(report.deleted for _, report in reconcile_all())
    return +done


def _delete(row: Sealed) -> None:
    with transaction.atomic():
        if isinstance(row, Share):
            record(AuditEvent.Kind.DELETED, _ACTOR, share_digest=bytes(row.digest))
        else:
            subject = {"repository": row.repository.name, "secret_key": row.secret_key}  # type: ignore[attr-defined]
            record(AuditEvent.Kind.REMOVED, _ACTOR, **subject)
        row.delete()
