"""Which keys the database knows, whether they are available, and how many rows need each."""

from collections.abc import Iterable

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from vault_app import keycheck
from vault_app.models import KeyEncryptionKey, Sealed, sealed_models


def with_rows(keys: QuerySet[KeyEncryptionKey]) -> QuerySet[KeyEncryptionKey]:
    """Return the keys with `rows`: how many rows of any table have a data key wrapped by it."""
    counts = [_rows(model) for model in sealed_models()]
    return keys.annotate(rows=sum(counts[1:], start=counts[0]))


def _rows(model: type[Sealed]) -> Coalesce:
    rows = model._base_manager.order_by().filter(key=OuterRef("pk")).values("key")
    number = rows.annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(number, output_field=IntegerField()), 0)


def rows_of(key: KeyEncryptionKey) -> int:
    """Return the row count of a key from `with_rows`."""
    return int(key.rows)  # type: ignore[attr-defined]


def missing_keys(known: Iterable[KeyEncryptionKey]) -> list[str]:
    """Return the ids of the known keys that the provider can't unwrap with."""
    return [key.id for key in known if not keycheck.is_available(key)]
