"""The key check: are these the keys that the database's values were sealed under?

Checked at start-up, before any request. A lost key file is an error with a remedy; a new key is
made only for a database that has none.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from django.conf import settings

from fugata_core.clock import now
from vault_app.backends import key_provider
from vault_app.errors import KeyServiceAway, KeyVersionGone, VaultError
from vault_app.keys.guidance import GUIDANCE, guidance
from vault_app.keys.keyring import KeyringFile
from vault_app.keys.wrapped_key import provider_of, version_of
from vault_app.models import KeyEncryptionKey, Sealed, sealed_models
from vault_app.side_by_side import patiently
from vault_app.usage import rows_under
from vault_app.versions import lowest_version, with_version

#: How a call of the key provider is made.
Attempt = Callable[[Callable[[], bytes]], bytes]

_CHECK_PLAINTEXT = b"fugata key check constant, v1..."
_CONTEXT = b"fugata/key-check"


class KeyCheckFailed(Exception):
    """The available keys are not the database's; the message says what to do.

    `may_pass`: a key service is away; another attempt in a while may succeed.
    """

    def __init__(self, message: str, *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


def is_new() -> bool:
    """Return whether the database has never been used with a key."""
    return not KeyEncryptionKey.objects.exists()


def verify() -> None:
    """Raise KeyCheckFailed unless every key that the database knows is available and correct, and
    the primary both wraps and unwraps.

    Also records the primary key if it is new.
    """
    found = problems(KeyEncryptionKey.objects.order_by("created_at", "id"))
    if found:
        raise KeyCheckFailed(_refusal(found), may_pass=all(map(_may_pass, found.values())))
    _record_primary()


def unavailable_keys(known: Iterable[KeyEncryptionKey]) -> list[str]:
    """Return the ids of the known keys that are not available or not correct."""
    return list(problems(known, attempt=lambda call: call()))


def renew_check_value() -> None:
    """Have the primary's check value sealed under the newest version of the key.

    It is the same constant under the same key, as what it replaces shows, or data keys do where
    the key service no longer opens that. Raises KeyUnavailable.
    """
    provider = key_provider()
    record = KeyEncryptionKey.objects.filter(id=provider.primary).first()
    newest = patiently(lambda: provider.wrap(_CHECK_PLAINTEXT, _CONTEXT))
    if record is None or not _is_older(bytes(record.check_value), newest):
        return
    problem = _problem(record, patiently)
    if problem is None or (isinstance(problem, KeyVersionGone) and _opens_newer(record)):
        same = KeyEncryptionKey.objects.filter(id=record.id, check_value=record.check_value)
        same.update(check_value=newest, check_value_at=now())


def _is_older(check_value: bytes, newest: bytes) -> bool:
    before, after = version_of(check_value), version_of(newest)
    return before is not None and after is not None and before < after


def _opens_newer(record: KeyEncryptionKey) -> bool:
    """Return whether the key opens a data key of each table that has some under it, or none has."""
    newer = [_newest_row(model, record.id) for model in sealed_models()]
    try:
        for row in filter(None, newer):
            wrapped, context = bytes(row.wrapped_key), row.associated_data().wrap_context()
            patiently(partial(key_provider().unwrap, wrapped, context))
    except VaultError:
        return False
    return True


def _newest_row(model: type[Sealed], key_id: str) -> Sealed | None:
    rows = with_version(model._base_manager.filter(key=key_id), key_id).select_related()
    return rows.order_by("-key_version").first()


class WrongKey(VaultError):
    """The key of that id is another one than the database's."""


def problems(
    known: Iterable[KeyEncryptionKey], attempt: Attempt = patiently
) -> dict[str, VaultError]:
    """Return what is wrong with keys, by their ids; those that are available are not in it."""
    return {record.id: problem for record in known if (problem := _problem(record, attempt))}


def _problem(record: KeyEncryptionKey, attempt: Attempt) -> VaultError | None:
    try:
        opened = attempt(partial(key_provider().unwrap, bytes(record.check_value), _CONTEXT))
    except VaultError as error:
        return error
    return None if opened == _CHECK_PLAINTEXT else WrongKey("does not open its own check value")


def _may_pass(problem: VaultError) -> bool:
    return isinstance(problem, KeyServiceAway)


def _refusal(found: Mapping[str, VaultError]) -> str:
    """Return what to do about one of the keys: one that rows need, if there is one."""
    needed = next((key_id for key_id in found if rows_under([key_id])), None)
    key_id = needed or next(iter(found))
    if isinstance(found[key_id], KeyVersionGone):
        return _version_refusal(key_id)
    problem, restore = _described(found[key_id]), _restore(key_id, found[key_id])
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


def _restore(key_id: str, problem: VaultError) -> str:
    if _may_pass(problem):
        return "Start again once it is."
    return f"Restore it: {remedy(key_id)}."


def _described(problem: VaultError) -> str:
    return str(problem) if isinstance(problem, WrongKey) else f"is not at hand ({problem})"


def _version_refusal(key_id: str) -> str:
    """Return what to do where a key's check value is under a version that is no longer opened."""
    record = KeyEncryptionKey.objects.get(id=key_id)
    version, lowest = version_of(bytes(record.check_value)) or 0, lowest_version(key_id)
    mount, _, name = key_id.partition(":")[2].rpartition("/")
    gone = (
        f"The check value of key {key_id!r} is sealed under version {version} of it, which the key"
        " service no longer opens."
    )
    if lowest is not None and lowest <= version:
        return (
            f"{gone} So are values. Lower the key's min_decryption_version to {lowest} (vault write"
            f" {mount}/keys/{name}/config min_decryption_version={lowest}), run manage.py"
            " rewrap_keys --all, and raise it again when that says so. (If Vault does not let it be"
            " lowered, the version was trimmed, and what it wrapped is lost.)"
        )
    if key_id == key_provider().primary:
        return f"{gone} No value is: run manage.py rewrap_keys --all, which seals it anew."
    return f"{gone} No value is. If none needs the key, run manage.py retire_key {key_id}."


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
        patiently(lambda: record_key(provider.primary, provider.wrap))
        patiently(provider.check)
    except VaultError as error:
        # A key service's words name the setting.
        what = "" if provider.is_remote else f" {_provider_remedy(provider.name)}."
        raise KeyCheckFailed(
            f"No key to seal with ({error}).{what}", may_pass=_may_pass(error)
        ) from error


def _provider_remedy(provider: str) -> str:
    what = remedy("" if provider == "local" else f"{provider}:")
    return what[0].upper() + what[1:]


def remedy(key_id: str) -> str:
    """Return what has to be done where the key of that id is missing."""
    keys = guidance(provider_of(key_id))
    if keys is GUIDANCE["local"] and not settings.FUGATA_KEYS:
        retired = KeyringFile(Path(settings.KEYRING_FILE)).retired
        again = f", copy its line into it from {retired}" if retired.exists() else ""
        return f"put the keyring file back at {settings.KEYRING_FILE}{again}, or set FUGATA_KEYS"
    return keys.restore
