"""`manage.py retire_key ID`: forget a key that nothing needs any more."""

import json as json_module
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management import BaseCommand, CommandError, CommandParser

from vault_app import rotation
from vault_app.errors import KeyUnavailable
from vault_app.management import rewrapping


class Command(BaseCommand):
    help = (
        "Take a key out of the database, and out of the keyring file. Refused while any data key"
        " is under it, and for the primary key. Back-ups of the database from before still need"
        " it: keep a copy with them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="the key's id, as manage.py list_keys shows it")
        rewrapping.add_json(parser)

    def handle(self, *args: Any, id: str, json: bool, **options: Any) -> None:  # noqa: A002
        """Retire the key. Raises CommandError, which says what to do."""
        try:
            removed = rotation.retire(id)
        except (rotation.KeyInUse, rotation.UnknownKey) as error:
            raise CommandError(f"{id} was not retired. {error}") from error
        except KeyUnavailable as error:
            raise CommandError(f"{id} was not retired: {error}.") from error
        except (OSError, ImproperlyConfigured) as error:
            raise CommandError(f"The keyring file can't be written: {error}") from error
        if json:
            self.stdout.write(json_module.dumps({"retired": id, "removed_from_keyring": removed}))
        elif removed:
            self.stdout.write(f"{id} is retired, and taken out of the keyring file.")
        else:
            self.stdout.write(f"{id} is retired. Now take it out of the settings and restart.")
