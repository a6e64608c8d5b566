"""`manage.py list_repositories`."""

from typing import Any

from django.db.models import Count

from fugata_core.commands import OperatorCommand
from fugata_core.terminal import escaped
from repositories_app.models import Membership, Repository


class Command(OperatorCommand):
    help = "List the repositories, their members, and how many secrets each has."

    def perform(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the repositories, ordered by id."""
        rows = Repository.objects.annotate(count=Count("secrets")).order_by("name")
        found = [
            {"repository": row.name, "secrets": row.count, "members": _members(row)}
            for row in rows.prefetch_related("memberships__user")
        ]
        said = "\n".join(map(_line, found)) or "There are no repositories yet."
        return said, {"repositories": found}


def _members(repository: Repository) -> dict[str, str]:
    memberships: list[Membership] = list(repository.memberships.all())
    return {each.user.get_username(): each.role for each in memberships}


def _line(one: dict[str, Any]) -> str:
    members = (f"{escaped(name)} ({role})" for name, role in sorted(one["members"].items()))
    return f"{one['repository']}\t{one['secrets']} secrets\t{', '.join(members)}"
