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
        rewrapping.add_background(parser)
        parser.add_argument(
            "--all",
            action="store_true",
            help="also what is under the primary key: after a new version of the key in Vault",
        )

    def handle(self, *args: Any, batch: int, pause: float, json: bool, **options: Any) -> None:
        """Re-wrap the data keys. Raises CommandError, which says what to do."""
        rewrapping.verify_keys()
        if options["background"]:
            rewrapping.start_in_background(self, json)
        elif options["all"]:
            total = rewrap.count_data_keys()
            moved, damaged = rewrapping.consume(self, rewrap.rewrap_all(batch), total, pause)
            left = rewrap.count_outdated() - damaged
            rewrapping.report(self, rewrapping.Outcome(moved, damaged, left), json)
        else:
            rewrapping.report(self, rewrapping.run_rewrap(self, batch, pause), json)
