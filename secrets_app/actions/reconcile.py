"""Which values belong to shares: reconciliation checks this before deleting any."""

from collections.abc import Collection

from secrets_app.models import Share


def values_in_use(names: Collection[str]) -> set[str]:
    """Return those of `names` that a share points to; expired ones too, left to the purge."""
    rows = Share.objects.filter(value_name__in=names)
    return set(rows.values_list("value_name", flat=True))
