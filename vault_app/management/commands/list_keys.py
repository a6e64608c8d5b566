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
        return "\n".join(map(_line, keys)), {"keys": [_fields(key) for key in keys]}


def _fields(key: usage.KeyState) -> dict[str, object]:
    return {
        "id": key.id,
        "provider": key.provider,
        "primary": key.primary,
        "created_at": iso(key.created_at),
        "rewrap_asked": key.rewrap_requested,
        "needed_by": key.needed_by,
        "rows": key.rows,
    }


def _line(key: usage.KeyState) -> str:
    state = "primary" if key.primary else "needed" if key.needed_by else "can be retired"
    made = iso(key.created_at)
    return f"{key.id:<24} {key.provider:<6} {made}  {key.needed_by:>9} rows  {state}"
