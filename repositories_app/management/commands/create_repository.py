"""`manage.py create_repository REPO_ID --owner USER`."""

from typing import Any

from django.core.management import CommandParser
from django.db import transaction

from fugata_core.commands import OperatorCommand
from repositories_app.actions.repositories import create_repository
from repositories_app.actions.tokens import TokenScope, create_access_token


class Command(OperatorCommand):
    help = "Make a repository. Its owner is made too, without a password, when new."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("repository", metavar="REPO_ID")
        parser.add_argument("--owner", required=True, metavar="USER")
        parser.add_argument(
            "--token",
            action="store_true",
            help="make a token for it too, and print that",
        )

    def perform(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the new repository, or its token if asked for."""
        name, owner = options["repository"], options["owner"]
        result = {"repository": name, "owner": owner}
        with transaction.atomic():  # both or neither, so that a retry finds no repository
            create_repository(name, owner)
            if not options["token"]:
                return f"Repository {name} was made, owned by {owner}.", result
            token, _ = create_access_token(owner, TokenScope(repositories=[name]))
        return token, result | {"token": token}
