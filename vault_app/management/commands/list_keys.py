"""`manage.py list_keys`: the keys, and how many rows need each."""

from typing import Any

from django.core.management import CommandError

from fugata_core.clock import iso
from fugata_core.commands import OperatorCommand
from vault_app import usage
from vault_app.errors import KeyUnavailable


class Command(OperatorCommand):
    help = "List the key-encryption keys that the database knows, and how many rows need each."

    def perform(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the keys. Raises CommandError if there is none."""
        try:
            keys = usage.key_states()
        except KeyUnavailable as error:
            raise CommandError(f"There is no key to list: {error}.") from error
        lines = [line for key in keys for line in (_line(key), *_version_lines(key))]
        return "\n".join(lines), {"keys": [_fields(key) for key in keys]}


def _fields(key: usage.KeyState) -> dict[str, object]:
    return {
        "id": key.id,
        "provider": key.provider,
        "primary": key.primary,
        "created_at": iso(key.created_at),
        "rewrap_asked": key.rewrap_requested,
        "needed_by": key.needed_by,
        "rows": key.rows,
        "versions": {str(version): rows for version, rows in key.versions.items()},
        "check_value_version": key.check_version,
        "lowest_version": key.lowest_version,
        "settles_at": key.settles_at and iso(key.settles_at),
    }


def _line(key: usage.KeyState) -> str:
    state = "primary" if key.primary else "needed" if key.needed_by else "can be retired"
    made = iso(key.created_at)
    return f"{key.id:<24} {key.provider:<6} {made}  {key.needed_by:>9} rows  {state}"


def _version_lines(key: usage.KeyState) -> list[str]:
    """Return a line for each version that is needed, and up to which the minimum may be raised."""
    if key.lowest_version is None:
        return []
    versions = sorted({*key.versions, *filter(None, [key.check_version])})
    lines = [_version_line(key, version) for version in versions]
    if key.settles_at:
        until = iso(key.settles_at)
        return [*lines, f"  requests may still write what an older version wrapped, until {until}"]
    return [*lines, f"  min_decryption_version can be raised to {key.lowest_version}, not further"]


def _version_line(key: usage.KeyState, version: int) -> str:
    check = ", and its check value" if version == key.check_version else ""
    return f"  version {version}: {key.versions.get(version, 0)} data keys{check}"
