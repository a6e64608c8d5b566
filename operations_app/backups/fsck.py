"""Checks an installation: rows and values match, and the keys for them are available."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from django.db.models import QuerySet

from fugata_core.commands import ProgressCallback
from secrets_app.models import Share
from vault_app import envelope, lost_values
from vault_app.backends import key_provider, remote_store, value_store
from vault_app.errors import (
    DecryptionFailed,
    KeyUnavailable,
    KeyVersionGone,
    ValueMissing,
    VaultError,
)
from vault_app.keycheck import problems
from vault_app.keys.wrapped_key import version_of
from vault_app.models import KeyEncryptionKey, Sealed, StoredValue, sealed_models, without_row
from vault_app.reconcile import reconcile_all
from vault_app.side_by_side import side_by_side

_BATCH = 200


class Kind(StrEnum):
    """What can be wrong. LOST: it is marked, so that it is known."""

    MISSING = "row without value"
    LOST = "row whose value is lost"
    FOUND = "value that is back"
    ORPHAN = "value without row"
    KEY = "key missing"
    CHECK = "key that does not pass its check"
    UNREADABLE = "value does not open"


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """Something that is wrong: `what`, for people, names no secret.

    `value_name`: the value that it is about, unless it is one of many orphans in a remote store.
    """

    kind: Kind
    what: str
    value_name: str = ""


@dataclass(slots=True)
class Examination:
    """What is wrong, and how many rows and values there are."""

    found: list[Inconsistency] = field(default_factory=list)
    rows: int = 0
    values: int = 0
    #: The ids of the keys that rows need and that can't be had.
    missing_keys: set[str] = field(default_factory=set)

    def count(self) -> Counter[Kind]:
        """Return how many inconsistencies there are of each kind."""
        return Counter(each.kind for each in self.found)

    @property
    def lacking(self) -> int:
        """How many rows have no value, marked or not."""
        count = self.count()
        return count[Kind.MISSING] + count[Kind.LOST]

    @property
    def lacks_values(self) -> bool:
        """Whether more than a tenth of the rows has no value."""
        return lost_values.exceeds_tenth(self.lacking, self.rows)

    def names(self, kind: Kind) -> list[str]:
        """Return the names of the values that have it."""
        return [each.value_name for each in self.found if each.kind == kind]


def examine(progress: ProgressCallback = lambda what, count: None) -> Examination:
    """Return what is wrong. Reads every value. Raises StoreUnavailable.

    A share can't be opened without its link: only its data key and its size are checked. A
    repository's secret is opened, and discarded.
    """
    seen, marked = Examination(), lost_values.marked_names()
    for model in sealed_models():
        for batch in _batches(model):
            for row, data_key in zip(batch, _data_keys(batch), strict=True):
                seen.found += _check_row(row, data_key, marked)
                if isinstance(data_key, KeyUnavailable):
                    seen.missing_keys.add(row.key_id)
                seen.rows += 1
                progress("rows", seen.rows)
    seen.found += _check_keys(seen)
    _add_orphans(seen)
    return seen


def _check_keys(seen: Examination) -> Iterator[Inconsistency]:
    """Compare keys with their check values, as each start does, unless rows told that they fail."""
    keys = KeyEncryptionKey.objects.exclude(id__in=seen.missing_keys).order_by("id")
    for key_id, problem in problems(keys).items():
        yield Inconsistency(Kind.CHECK, f"key {key_id} does not pass its check: {problem}")


def _batches(model: type[Sealed]) -> Iterator[list[Sealed]]:
    """Yield all rows, by batches: no transaction lasts while a remote store is read."""
    last = 0
    # select_related: a row's associated data may name what it belongs to.
    rows = model._base_manager.select_related().order_by("pk")
    while batch := list(rows.filter(pk__gt=last)[:_BATCH]):
        yield batch
        last = batch[-1].pk


def _data_keys(rows: list[Sealed]) -> list[bytes | VaultError]:
    """Return the rows' data keys, or why they can't be had."""
    wrapped = [(bytes(row.wrapped_key), row.associated_data().wrap_context()) for row in rows]
    unwrap = key_provider().unwrap
    return side_by_side(lambda attempts, one: attempts.patiently(partial(unwrap, *one)), wrapped)


def _check_row(
    row: Sealed, data_key: bytes | VaultError, marked: set[str]
) -> Iterator[Inconsistency]:
    where, name = f"{row._meta.verbose_name} {row.pk}", row.value_name
    kind, what = _problem(row, data_key)
    if kind is None:
        if name in marked:
            yield Inconsistency(Kind.FOUND, f"{where} has its value again", name)
    elif _is_current(row):
        kind = Kind.LOST if kind == Kind.MISSING and name in marked else kind
        yield Inconsistency(kind, f"{where} {what}", name)


def _problem(row: Sealed, data_key: bytes | VaultError) -> tuple[Kind | None, str]:
    try:
        sealed = _value(row)  # first: one that is gone must not look like a key that is missing
        _check_value(row, data_key, sealed)
    except ValueMissing:
        return Kind.MISSING, "has no value"
    except KeyVersionGone:
        version = version_of(bytes(row.wrapped_key))
        return Kind.KEY, f"needs version {version} of key {row.key_id}, which is no longer opened"
    except KeyUnavailable:
        return Kind.KEY, f"needs key {row.key_id}, which is not at hand"
    except DecryptionFailed:
        return Kind.UNREADABLE, "has a value that does not open"
    return None, ""


def _is_current(row: Sealed) -> bool:
    """Return whether the row is as it was; it may have been opened, set anew, or re-wrapped."""
    same = {"pk": row.pk, "value_name": row.value_name, "key_id": row.key_id}
    return type(row)._base_manager.filter(**same).exists()


def _value(row: Sealed) -> bytes:
    sealed = value_store(row.values_of).get(row.value_name)
    if len(sealed) != row.size + envelope.OVERHEAD:
        raise DecryptionFailed("the value has another size than its row says")
    return sealed


def _check_value(row: Sealed, data_key: bytes | VaultError, sealed: bytes) -> None:
    if isinstance(data_key, VaultError):
        raise data_key
    if not isinstance(row, Share):
        envelope.unseal_with(data_key, sealed, row.associated_data())


def _add_orphans(seen: Examination) -> None:
    if remote_store() is None:
        seen.values = StoredValue.objects.count()
        for name in orphans().values_list("name", flat=True):
            seen.found.append(Inconsistency(Kind.ORPHAN, f"value {name} belongs to no row", name))
        return
    for app, report in reconcile_all(dry_run=True):
        seen.values += report.values
        what = f"a value of {app} belongs to no row"
        seen.found += [Inconsistency(Kind.ORPHAN, what)] * report.orphans


def orphans() -> QuerySet[StoredValue]:
    """Return the values in the database that no row points to."""
    return without_row(StoredValue.objects.order_by("name"))
