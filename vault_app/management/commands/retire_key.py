"""`manage.py retire_key ID`: remove a key that nothing needs any more."""

from pathlib import Path
from typing import Any

from django.core.management import CommandError, CommandParser

from fugata_core.commands import OperatorCommand
from vault_app import rotation
from vault_app.errors import KeyUnavailable
from vault_app.keys.keyring import WrongKeyring


class Command(OperatorCommand):
    help = (
        "Take a key out of the database, and move it out of the keyring file into keyring.retired"
        " beside it. Refused while any data key is under it, for the primary key, and for one that"
        " the database has no record of. Back-ups of the database from before still need it: keep a"
        " copy with them. See docs/keys.md."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("id", help="the key's id, as manage.py list_keys shows it")

    def perform(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Retire the key. Raises CommandError, which says what to do."""
        key_id = options["id"]
        try:
            moved_to = rotation.retire(key_id)
        except (rotation.KeyInUse, rotation.UnknownKey) as error:
            raise CommandError(f"{key_id} was not retired. {error}") from error
        except KeyUnavailable as error:
            raise CommandError(f"{key_id} was not retired: {error}.") from error
        except WrongKeyring as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"The keyring file can't be written: {error}") from error
        return f"{key_id} is retired{_where(moved_to)}", {
            "retired": key_id,
            "removed_from_keyring": moved_to is not None,
            "moved_to": str(moved_to) if moved_to else None,
        }


def _where(moved_to: Path | None) -> str:
    if moved_to is None:
        return (
            ". If no other database needs it, take it out of the settings now and restart. Keep"
            " the key itself for as long as you keep back-ups from before."
        )
    return (
        f", and moved from the keyring file to {moved_to}. Delete it there once no back-up and no"
        " other database needs it."
    )
