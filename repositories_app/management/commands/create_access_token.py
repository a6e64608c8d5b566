"""`manage.py create_access_token USER [--repository REPO_ID …] [--read-only] [--expires 90d]`."""

from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management import CommandParser

from fugata_core.clock import iso
from fugata_core.commands import OperatorCommand
from fugata_core.durations import duration
from repositories_app.actions.tokens import TokenScope, create_access_token


def _lifetime(text: str) -> timedelta:
    length = duration(text)
    if length is None:
        raise ArgumentTypeError("write a whole number and s, m, h or d, for instance 90d")
    return length


class Command(OperatorCommand):
    help = "Make an access token of a user and print it. It is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("user", metavar="USER")
        parser.add_argument(
            "--repository",
            action="append",
            default=[],
            metavar="REPO_ID",
            help="good for this one alone; may be given several times",
        )
        parser.add_argument("--read-only", action="store_true")
        parser.add_argument("--expires", type=_lifetime, metavar="90d", help="default: never")
        parser.add_argument("--label", default="", help="what it is for")

    def perform(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the token."""
        scope = TokenScope(
            repositories=options["repository"],
            read_only=options["read_only"],
            lifetime=options["expires"],
            label=options["label"],
        )
        token, row = create_access_token(options["user"], scope)
        ends = iso(row.expires_at) if row.expires_at else None
        return token, {"token": token, "id": row.pk, "expires_at": ends}
