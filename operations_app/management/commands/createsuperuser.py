"""`manage.py createsuperuser`: Django's, which takes no id and no token for a name."""

from typing import Any

from django.contrib.auth.management.commands import createsuperuser

from fugata_core.tokens import NAME_RULE, has_secret


class Command(createsuperuser.Command):
    help = createsuperuser.Command.help

    def _validate_username(self, username: str, *args: Any) -> str | None:
        """Return what is wrong with a name, or None."""
        if username and has_secret(username):
            return f"A name {NAME_RULE}"
        problem: str | None = super()._validate_username(username, *args)  # type: ignore[misc]
        return problem
