"""Which version of its key wrapped each data key, where a key service's keys have versions."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from django.conf import settings
from django.db.models import BinaryField, Count, QuerySet
from django.db.models.functions import Substr

from fugata_core.clock import now
from vault_app.backends import key_provider
from vault_app.keys import wrapped_key
from vault_app.models import KeyEncryptionKey, Sealed, sealed_models
from vault_app.side_by_side import patiently

R = TypeVar("R", bound=Sealed)

#: Seconds that a change waits for SQLite's lock; and those for all that is not waiting.
SQLITE_WAIT, MARGIN = 30.0, 5.0
_CONTEXT = b"fugata/newest-version"


def settles_at(key: KeyEncryptionKey) -> datetime | None:
    """Return until when requests may write what an older version wrapped; None: that is over.

    They had it wrapped before the newest version was there, and so before the check value was
    sealed under that.
    """
    until = key.check_value_at and key.check_value_at + longest_request()
    return until if until and until > now() else None


def longest_request() -> timedelta:
    """Return how long a request may take from having its data key wrapped to its commit."""
    seconds = key_provider().timeout + max(settings.DATABASE_TIMEOUT, SQLITE_WAIT)
    seconds += settings.VALUE_STORE["OPTIONS"].get("timeout", 0)
    return timedelta(seconds=seconds + MARGIN)


def newest_version() -> int | None:
    """Return the version of the primary that wraps now; None if its versions can't be told apart.

    Raises KeyUnavailable.
    """
    keys = key_provider()
    if not wrapped_key.version_size(keys.primary):
        return None
    nothing = bytes(wrapped_key.DATA_KEY_SIZE)
    return wrapped_key.version_of(patiently(lambda: keys.wrap(nothing, _CONTEXT)))


def with_version(rows: QuerySet[R], key_id: str) -> QuerySet[R]:
    """Return the rows with `key_version`, as bytes: it means something if they are under that key.

    Such bytes compare as the numbers that they are.
    """
    begins = 1 + len(wrapped_key.header(key_id))
    size = wrapped_key.version_size(key_id)
    version = Substr("wrapped_key", begins, size, output_field=BinaryField())
    return cast(QuerySet[R], rows.annotate(key_version=version))


def as_bytes(key_id: str, version: int) -> bytes:
    """Return a version as `with_version` has it."""
    return version.to_bytes(wrapped_key.version_size(key_id))


def data_keys_by_version(key_id: str) -> dict[int, int]:
    """Return how many data keys each version of a key wraps; empty if it has none to tell apart."""
    found = Counter[int]()
    if not wrapped_key.version_size(key_id):
        return found
    for model in sealed_models():
        rows: Any = with_version(model._base_manager.filter(key=key_id).order_by(), key_id)
        for row in rows.values("key_version").annotate(number=Count("pk")):
            found[int.from_bytes(row["key_version"])] += row["number"]
    return dict(sorted(found.items()))


def lowest_version(key_id: str) -> int | None:
    """Return the lowest version of a key that a data key needs; None if none needs one."""
    return next(iter(data_keys_by_version(key_id)), None)
