"""`manage.py retire_key ID`: remove a key that nothing needs any more."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, CommandParser

from fugata_core.commands import OperatorCommand
from vault_app import rotation
from vault_app.errors import KeyUnavailable


class Command(OperatorCommand):
    help = (
        "Take a key out of the database, and out of the keyring file. Refused while any data key"
        " is under it, and for the primary key. Back-ups of the database from before still need"
        " it: keep a copy with them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("id", help="the key's id, as manage.py list_keys shows it")

    def perform(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Retire the key. Raises CommandError, which says what to do."""
        key_id = options["id"]
        try:
            removed = rotation.retire(key_id)
        except (rotation.KeyInUse, rotation.UnknownKey) as error:
            raise CommandError(f"{key_id} was not retired. {error}") from error
        except KeyUnavailable as error:
            raise CommandError(f"{key_id} was not retired: {error}.") from error
        except (OSError, ImproperlyConfigured) as error:
            raise CommandError(f"The keyring file can't be written: {error}") from error
        message = f"{key_id} is retired. Now take it out of the settings and restart."
        if removed:
            message = f"{key_id} is retired, and taken out of the keyring file."
        return message, {"retired": key_id, "removed_from_keyring": removed}
