"""`manage.py set_member REPO_ID USER --role reader|writer|owner`, or `--remove`."""

from typing import Any

from django.core.management import CommandParser

from fugata_core.commands import OperatorCommand
from repositories_app.actions.repositories import remove_member, set_member
from repositories_app.models import Membership


class Command(OperatorCommand):
    help = "Give a user a role in a repository, or take it away."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("repository", metavar="REPO_ID")
        parser.add_argument("user", metavar="USER")
        change = parser.add_mutually_exclusive_group(required=True)
        change.add_argument("--role", choices=Membership.Role.values)
        change.add_argument("--remove", action="store_true")

    def perform(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the user's new role."""
        name, user, role = options["repository"], options["user"], options["role"]
        if options["remove"]:
            remove_member(name, user)
            said = f"{user} is no member of {name} any more."
        else:
            set_member(name, user, role)
            said = f"{user} is {role} of {name}."
        return said, {"repository": name, "user": user, "role": role}
