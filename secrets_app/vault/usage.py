"""Which keys the database knows, whether they are at hand, and how many rows need each."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.apps import apps
from django.db.models import Count

from secrets_app.vault import keycheck
from secrets_app.vault.backends import key_provider
from secrets_app.vault.models import KeyEncryptionKey, Sealed


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A key-encryption key, and how many rows have their data key wrapped by it."""

    key_id: str
    created_at: datetime
    primary: bool
    rows: int


def keys_in_use() -> list[KeyUse]:
    """Return all keys, the oldest first. Raises KeyUnavailable where no key wraps."""
    primary, rows = key_provider().primary, rows_by_key()
    return [
        KeyUse(key.id, key.created_at, key.id == primary, rows[key.id])
        for key in KeyEncryptionKey.objects.order_by("created_at", "id")
    ]


def rows_by_key() -> Counter[str]:
    """Return how many rows of any table each key has wrapped the data key of."""
    counted: Counter[str] = Counter()
    for model in apps.get_models():
        if issubclass(model, Sealed):
            rows = model._base_manager.order_by().values_list("key").annotate(Count("pk"))
            counted.update(dict(rows))
    return counted


def missing_keys(known: Iterable[KeyEncryptionKey]) -> list[str]:
    """Return the ids of those known keys that the provider can't unwrap with."""
    return [key.id for key in known if not keycheck.holds(key)]
