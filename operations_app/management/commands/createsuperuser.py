"""`manage.py createsuperuser`: Django's, with our rule of what a user may be called."""

from typing import Any

from django.contrib.auth.management.commands import createsuperuser

from fugata_core.usernames import username_problem


class Command(createsuperuser.Command):
    help = createsuperuser.Command.help

    def _validate_username(self, username: str, *args: Any) -> str | None:
        """Return what is wrong with a name, or None."""
        if username and (ours := username_problem(username)):
            return ours
        problem: str | None = super()._validate_username(username, *args)  # type: ignore[misc]
        return problem
