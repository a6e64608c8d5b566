"""`manage.py rewrap_keys`: the second half of a rotation, wherever the keys come from."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from vault_app import rewrap
from vault_app.management import rewrapping


class Command(BaseCommand):
    help = (
        "Re-wrap every data key that is not under the primary key, while the service runs. It"
        " can be stopped and run again at any time."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        rewrapping.add_arguments(parser)
        parser.add_argument(
            "--background", action="store_true", help="leave the re-wrapping to the worker"
        )
        parser.add_argument(
            "--all",
            action="store_true",
            help="also what is under the primary key: after a new version of the key in Vault",
        )

    def handle(self, *args: Any, batch: int, pause: float, json: bool, **options: Any) -> None:
        """Re-wrap the data keys. Raises CommandError, which says what to do."""
        rewrapping.verify_keys()
        if options["background"]:
            rewrapping.hand_over(self, json)
        elif options["all"]:
            total = rewrap.count()
            moved, damaged = rewrapping.run(self, rewrap.rewrap_anew(batch), total, pause)
            left = rewrap.waiting() - damaged
            rewrapping.tell(self, rewrapping.Outcome(moved, damaged, left), json)
        else:
            rewrapping.tell(self, rewrapping.move(self, batch, pause), json)
