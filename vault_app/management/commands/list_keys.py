"""`manage.py list_keys`: the keys, and how many rows need each."""

import json as json_module
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from fugata_core.clock import iso
from vault_app import usage
from vault_app.errors import KeyUnavailable
from vault_app.management import rewrapping


class Command(BaseCommand):
    help = "List the key-encryption keys that the database knows, and how many rows need each."

    def add_arguments(self, parser: CommandParser) -> None:
        rewrapping.add_json(parser)

    def handle(self, *args: Any, json: bool, **options: Any) -> None:
        """List the keys. Raises CommandError if there is none."""
        try:
            keys = usage.key_states()
        except KeyUnavailable as error:
            raise CommandError(f"There is no key to list: {error}.") from error
        if json:
            self.stdout.write(json_module.dumps({"keys": [_fields(key) for key in keys]}))
            return
        for key in keys:
            self.stdout.write(_line(key))


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
