"""The key check: are these the keys that the database's values were sealed under?

Checked at start-up, before any request. A lost key file is an error with a remedy; a new key is
made only for a database that has none.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from django.conf import settings

from vault_app.backends import key_provider
from vault_app.errors import VaultError
from vault_app.keys.guidance import GUIDANCE, guidance
from vault_app.keys.keyring import KeyringFile
from vault_app.keys.wrapped_key import provider_of
from vault_app.models import KeyEncryptionKey
from vault_app.usage import rows_under

_CHECK_PLAINTEXT = b"fugata key check constant, v1..."
_CONTEXT = b"fugata/key-check"


class KeyCheckFailed(Exception):
    """The available keys are not the database's; the message says what to do."""


def is_new() -> bool:
    """Return whether the database has never been used with a key."""
    return not KeyEncryptionKey.objects.exists()


def verify() -> None:
    """Raise KeyCheckFailed unless every key that the database knows is available and correct.

    Also records the primary key if it is new.
    """
    problems = _problems(KeyEncryptionKey.objects.order_by("created_at", "id"))
    if problems:
        raise KeyCheckFailed(_refusal(problems))
    _record_primary()


def unavailable_keys(known: Iterable[KeyEncryptionKey]) -> list[str]:
    """Return the ids of the known keys that are not available or not correct."""
    return list(_problems(known))


def _problems(known: Iterable[KeyEncryptionKey]) -> dict[str, str]:
    """Return what is wrong with keys, by their ids; those that are available are not in it."""
    return {record.id: problem for record in known if (problem := _problem(record))}


def _problem(record: KeyEncryptionKey) -> str:
    try:
        opened = key_provider().unwrap(bytes(record.check_value), _CONTEXT)
    except VaultError as error:
        return f"is not at hand ({error})"
    return "" if opened == _CHECK_PLAINTEXT else "does not open its own check value"


def _refusal(problems: Mapping[str, str]) -> str:
    """Return what to do about one of the keys: one that rows need, if there is one."""
    needed = next((key_id for key_id in problems if rows_under([key_id])), None)
    key_id = needed or next(iter(problems))
    problem, restore = problems[key_id], f"Restore it: {_remedy(key_id)}."
    if needed:
        return (
            f"The database holds values sealed under key {key_id!r}, and that key {problem}."
            f" {restore} Fugata makes no new key in its place, because what was sealed could then"
            " never be opened again."
        )
    known = (
        f"The database knows key {key_id!r}, and that key {problem}. No value needs it. {restore}"
    )
    if not _can_be_retired(key_id):
        return known
    return f"{known} Or, if you took it out for good, run manage.py retire_key {key_id}."


def _can_be_retired(key_id: str) -> bool:
    try:
        return key_id != key_provider().primary
    except VaultError:  # there is no key at all
        return False


def record_key(key_id: str, wrap: Callable[[bytes, bytes], bytes]) -> None:
    """Record a key in the database, once, with a check value that `wrap` wraps under it.

    Rows reference their key, so this comes before anything is wrapped under it.
    Raises KeyUnavailable.
    """
    if not KeyEncryptionKey.objects.filter(id=key_id).exists():
        check_value = wrap(_CHECK_PLAINTEXT, _CONTEXT)
        KeyEncryptionKey.objects.get_or_create(id=key_id, defaults={"check_value": check_value})


def _record_primary() -> None:
    provider = key_provider()
    try:
        record_key(provider.primary, provider.wrap)
    except VaultError as error:
        raise KeyCheckFailed(
            f"No key to seal with ({error}). {_provider_remedy(provider.name)}."
        ) from error


def _provider_remedy(provider: str) -> str:
    remedy = _remedy("" if provider == "local" else f"{provider}:")
    return remedy[0].upper() + remedy[1:]


def _remedy(key_id: str) -> str:
    keys = guidance(provider_of(key_id))
    if keys is GUIDANCE["local"] and not settings.FUGATA_KEYS:
        retired = KeyringFile(Path(settings.KEYRING_FILE)).retired
        again = f", copy its line into it from {retired}" if retired.exists() else ""
        return f"put the keyring file back at {settings.KEYRING_FILE}{again}, or set FUGATA_KEYS"
    return keys.restore
