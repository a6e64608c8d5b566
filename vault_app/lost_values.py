"""Marks on values that are gone from the store, though rows point to them.

An operator sets them (`fsck --repair`), once it is sure that the store is the right one. A back-up
without these values is whole, as far as it can be.
"""

from collections.abc import Iterable, Sequence

from django.db.models import QuerySet

from vault_app.models import LostValue, sealed_models, without_row

#: Names in one statement.
_BATCH = 1000


def marked_names() -> set[str]:
    """Return the names of all values that are marked."""
    return set(marked())


def mark(names: Iterable[str]) -> None:
    """Mark values as lost; those that are marked keep their time."""
    marks = [LostValue(name=name) for name in names]
    LostValue.objects.bulk_create(marks, batch_size=_BATCH, ignore_conflicts=True)


def unmark(names: Sequence[str]) -> None:
    """Take marks off: the values are back."""
    for start in range(0, len(names), _BATCH):
        LostValue.objects.filter(name__in=names[start : start + _BATCH]).delete()


def marked() -> QuerySet[LostValue, str]:
    """Return the names of all values that are marked, for a query."""
    return LostValue.objects.values_list("name", flat=True)


def rows_marked() -> int:
    """Return how many rows point to a value that is marked."""
    return sum(m._base_manager.filter(value_name__in=marked()).count() for m in sealed_models())


def forget_unused() -> None:
    """Delete the marks that no row needs any more: it was deleted, or has another value now."""
    without_row(LostValue.objects.all()).delete()
