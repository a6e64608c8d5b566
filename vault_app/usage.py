"""Which keys the database knows, and how many rows need each."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from vault_app.backends import key_provider
from vault_app.errors import DecryptionFailed
from vault_app.keys.wrapped_key import provider_of, version_of
from vault_app.models import KeyEncryptionKey, Sealed, sealed_models
from vault_app.versions import data_keys_by_version, settles_at


@dataclass(frozen=True, slots=True)
class KeyState:
    """A key, and how many rows of each table (by its model's label) need it.

    `rewrap_requested`: the worker is re-wrapping data keys under it, until none is left.
    """

    id: str
    provider: str
    primary: bool
    created_at: datetime
    rewrap_requested: bool
    rows: dict[str, int]
    #: How many data keys each version of it wraps, and the version of its check value; empty and
    #: None where the versions of a key can't be told apart.
    versions: dict[int, int]
    check_version: int | None
    #: Until when requests may still write what an older version wrapped; None: it is over.
    settles_at: datetime | None

    @property
    def lowest_version(self) -> int | None:
        """The lowest version that is still needed, by a data key or by the check value."""
        needed = [*self.versions, *filter(None, [self.check_version])]
        return min(needed, default=None)

    @property
    def needed_by(self) -> int:
        """How many rows need it."""
        return sum(self.rows.values())


def key_states() -> list[KeyState]:
    """Return every key that the database knows, the oldest first. Raises KeyUnavailable."""
    primary = key_provider().primary
    return [
        KeyState(
            id=key.id,
            provider=provider_of(key.id),
            primary=key.id == primary,
            created_at=key.created_at,
            rewrap_requested=key.rewrap_asked_at is not None,
            rows=_rows_by_label(key),
            versions=data_keys_by_version(key.id),
            check_version=_check_version(key),
            settles_at=settles_at(key),
        )
        for key in with_rows(KeyEncryptionKey.objects.order_by("created_at", "id"))
    ]


def _check_version(key: KeyEncryptionKey) -> int | None:
    try:
        return version_of(bytes(key.check_value))
    except DecryptionFailed:  # the start refuses it
        return None


def with_rows(keys: QuerySet[KeyEncryptionKey]) -> QuerySet[KeyEncryptionKey]:
    """Return the keys, each with the number of rows of every table that need it (`rows_of`)."""
    return keys.annotate(**{_column(model): _rows(model) for model in sealed_models()})


def _column(model: type[Sealed]) -> str:
    return f"rows_of_{model._meta.db_table}"


def _rows(model: type[Sealed]) -> Coalesce:
    rows = model._base_manager.order_by().filter(key=OuterRef("pk")).values("key")
    number = rows.annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(number, output_field=IntegerField()), 0)


def _rows_by_label(key: KeyEncryptionKey) -> dict[str, int]:
    return {model._meta.label: getattr(key, _column(model)) for model in sealed_models()}


def rows_of(key: KeyEncryptionKey) -> int:
    """Return how many rows need a key that comes from `with_rows`."""
    return sum(_rows_by_label(key).values())


def rows_under(key_ids: Iterable[str]) -> int:
    """Return how many rows need one of the keys with those ids."""
    return sum(map(rows_of, with_rows(KeyEncryptionKey.objects.filter(id__in=key_ids))))
