"""Which values belong to repository secrets: reconciliation checks this before deleting any."""

from collections.abc import Collection

from repositories_app.models import RepositorySecret


def values_in_use(names: Collection[str]) -> set[str]:
    """Return those of `names` that a repository secret points to."""
    rows = RepositorySecret.objects.filter(value_name__in=names)
    return set(rows.values_list("value_name", flat=True))
