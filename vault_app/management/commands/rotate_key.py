"""`manage.py rotate_key`: make a new primary key and re-wrap all data keys under it, live."""

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from vault_app import rewrap, rotation
from vault_app.keys.keyring import WrongKeyring
from vault_app.management import rewrapping


class Command(BaseCommand):
    help = (
        "Make a new key-encryption key primary in the keyring file and re-wrap every data key"
        " under it, while the service runs. If it is stopped, run it again: it finishes the"
        " rotation that was begun, and makes no further key. The old key stays until"
        " `manage.py retire_key`. See docs/keys.md."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        rewrapping.add_arguments(parser)
        rewrapping.add_background(parser)

    def handle(self, *args: Any, batch: int, pause: float, json: bool, **options: Any) -> None:
        """Rotate, or finish a rotation. Raises CommandError, which says what to do."""
        rewrapping.verify_keys()
        new_key = self._new_key(quiet=json)
        if options["background"]:
            rewrapping.start_in_background(self, json, new_key=new_key)
            return
        outcome = rewrapping.run_rewrap(self, batch, pause)
        rewrapping.report(self, outcome, json, new_key=new_key)

    def _new_key(self, quiet: bool) -> str | None:
        waiting = rewrap.count_outdated()
        if waiting:
            if not quiet:
                self.stdout.write(
                    f"{waiting} data keys are not under the primary key: finishing that rotation."
                    " No new key is made. To make one, run this again afterwards."
                )
            return None
        try:
            made = rotation.make_primary()
        except rotation.KeysNotManaged as error:
            raise CommandError(str(error)) from error
        except WrongKeyring as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"The keyring file can't be written: {error}") from error
        if not quiet:
            self.stdout.write(f"Key {made} is the primary now. Back up the keyring file.")
        return made
