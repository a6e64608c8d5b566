"""The keys that an archive's values are under: are they here, before anything is restored?"""

from collections.abc import Iterator, Mapping

from django.template.defaultfilters import pluralize
from django.utils.text import capfirst

from operations_app.backups import rows
from operations_app.backups.reader import BadArchive, Reader
from vault_app import keycheck
from vault_app.errors import DecryptionFailed, KeyServiceAway, KeyVersionGone, VaultError
from vault_app.models import KeyEncryptionKey, sealed_models

#: Keys that are named; a forged file may have any number.
_NAMED = 20
_LOST = "If that is not possible, see --without-keys in docs/backup.md"


class KeysMissing(Exception):
    """Values of the back-up are under keys that are not at hand; the message says what to do."""


def require_keys(archive: Reader) -> None:
    """Raise KeysMissing unless each key that a row of the archive needs is here, and the same.

    A version that a key service no longer opens is not a missing key: it can be had again after
    the restore as well. Raises BadArchive.
    """
    try:
        found = _problems(archive)
        needed = found.keys() & _needed(archive) if found else ()
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
        raise BadArchive("the back-up has what are no rows of this version") from None
    if needed:
        raise KeysMissing(_sentence({each: found[each] for each in found if each in needed}))


def _problems(archive: Reader) -> dict[str, VaultError]:
    problems = keycheck.problems(_known(archive)).items()
    return {each: problem for each, problem in problems if not isinstance(problem, KeyVersionGone)}


def _known(archive: Reader) -> Iterator[KeyEncryptionKey]:
    for columns in rows.parse(archive.lines(rows.file_of(KeyEncryptionKey))):
        check_value = bytes(memoryview(columns["check_value"]))  # of a number: as many zeros
        yield KeyEncryptionKey(id=columns["id"], check_value=check_value)


def _needed(archive: Reader) -> set[str]:
    """Return the ids of the keys that rows are under."""
    return {
        columns["key_id"]
        for model in sealed_models()
        for columns in rows.parse(archive.lines(rows.file_of(model)))
    }


def _sentence(found: Mapping[str, VaultError]) -> str:
    named = [f"{each[:200]!r} ({_why(found[each])})" for each in list(found)[:_NAMED]]
    if more := len(found) - len(named):
        named.append(f"{more} more")
    remedies = dict.fromkeys(_remedy(*each) for each in found.items())  # one for each provider
    return (
        f"values of the back-up need {pluralize(len(found), 'a key,keys')} that"
        f" {pluralize(len(found), 'is,are')} missing here: {', '.join(named)}."
        f" {'. '.join(remedies)}. {_LOST}"
    )


def _why(problem: VaultError) -> str:
    is_other = isinstance(problem, DecryptionFailed | keycheck.WrongKey)
    return "the key of that id here is another one" if is_other else str(problem)


def _remedy(key_id: str, problem: VaultError) -> str:
    if isinstance(problem, KeyServiceAway):
        return "Restore again once the key service answers"
    return capfirst(keycheck.remedy(key_id))
