"""`manage.py rewrap_keys`: the second half of a rotation, wherever the keys come from."""

from contextlib import suppress
from typing import Any

from django.core.management import BaseCommand, CommandParser

from vault_app import keycheck
from vault_app.errors import VaultError
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
            help="also what older versions of the primary key wrapped, and the key check value:"
            " after a new version of the key in Vault",
        )

    def handle(self, *args: Any, batch: int, pause: float, json: bool, **options: Any) -> None:
        """Re-wrap the data keys. Raises CommandError, which says what to do."""
        if options["all"]:
            _renew_check_value()
        rewrapping.verify_keys()
        if options["background"]:
            rewrapping.start_in_background(self, json, versions=options["all"])
        elif options["all"]:
            rewrapping.report(self, rewrapping.run_rewrap_all(self, batch, pause), json)
            if not json:
                rewrapping.report_versions(self)
        else:
            rewrapping.report(self, rewrapping.run_rewrap(self, batch, pause), json)


def _renew_check_value() -> None:
    """Renew it before it is verified: an older version may be what does not open any more."""
    with suppress(VaultError):  # which the verification tells
        keycheck.renew_check_value()
