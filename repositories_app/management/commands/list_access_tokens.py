"""`manage.py list_access_tokens [--user USER]`."""

from datetime import UTC, datetime
from typing import Any

from django.core.management import CommandParser

from fugata_core.clock import iso
from fugata_core.commands import OperatorCommand
from fugata_core.terminal import escaped
from repositories_app.models import AccessToken


class Command(OperatorCommand):
    help = "List access tokens by their beginnings: whose, how far they reach, when last used."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--user", metavar="USER", help="this user's alone")

    def perform(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the tokens, ordered by id."""
        rows = AccessToken.objects.select_related("user").prefetch_related("repositories")
        if options["user"]:
            rows = rows.filter(user__username=options["user"])
        found = [_described(row) for row in rows.order_by("pk")]
        said = "\n".join(map(_line, found)) or "There are no access tokens."
        return said, {"tokens": found}


def _described(row: AccessToken) -> dict[str, Any]:
    return {
        "id": row.pk,
        "prefix": row.prefix,
        "user": row.user.get_username(),
        "label": row.shown_label,
        "state": row.state(datetime.now(UTC)),
        "read_only": row.read_only,
        "repositories": _reach(row),
        "expires_at": _written(row.expires_at),
        "last_used_at": _written(row.last_used_at),
    }


def _reach(row: AccessToken) -> list[str] | None:
    """Return the repositories that a narrowed token is valid for; None means all of its user's."""
    return sorted(each.name for each in row.repositories.all()) if row.narrowed else None


def _written(moment: datetime | None) -> str | None:
    return iso(moment) if moment else None


def _line(one: dict[str, Any]) -> str:
    reach = "all repositories" if one["repositories"] is None else ", ".join(one["repositories"])
    used = one["last_used_at"] or "never"
    rights = "read-only" if one["read_only"] else "read and write"
    head = f"{one['id']}\t{one['prefix']}…\t{escaped(one['user'])}\t{one['state']}"
    return f"{head}\t{rights}\t{reach}\tends: {one['expires_at'] or 'never'}\tlast used: {used}"
