"""`manage.py revoke_access_token ID …`."""

from typing import Any

from django.core.management import CommandParser

from fugata_core.commands import OperatorCommand
from fugata_core.errors import BadRequest
from repositories_app.actions.tokens import revoke_access_tokens
from repositories_app.models import AccessToken


class Command(OperatorCommand):
    help = "Revoke access tokens for good, by the ids that list_access_tokens shows."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("ids", nargs="+", type=int, metavar="ID")

    def perform(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return how many were revoked. Raises BadRequest unless all exist."""
        wanted = set(options["ids"])
        known = set(AccessToken.objects.filter(pk__in=wanted).values_list("pk", flat=True))
        if wanted - known:
            missing = ", ".join(map(str, sorted(wanted - known)))
            raise BadRequest(f"There is no access token with id {missing}. Nothing was revoked.")
        count = revoke_access_tokens(sorted(wanted))
        return f"{count} access tokens revoked.", {"revoked": count}
