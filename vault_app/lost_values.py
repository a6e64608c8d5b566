"""Marks on values that are gone from the store, though rows point to them.

An operator sets them (`fsck --repair`), once it is sure that the store is the right one. They make
a loss known, no more: where more than a tenth is marked, nothing is well.
"""

from collections.abc import Iterable, Sequence

from django.db.models import QuerySet

from vault_app.models import LostValue, sealed_models, without_row

#: Names in one statement.
_BATCH = 1000

#: What is to be done about rows that are marked.
REMEDY = (
    "Do VALUE_STORE and KUBERNETES_NAMESPACE name the right store? Otherwise bring the values back"
    " (then run manage.py fsck --repair), or set these secrets again or remove them; manage.py fsck"
    " names them. Shares go when they expire."
)


def exceeds_tenth(part: int, whole: int) -> bool:
    """Return whether it is more than a tenth: so much is rather a wrong store than a loss."""
    return part * 10 > whole


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


def all_rows() -> int:
    """Return how many rows need a value."""
    return sum(model._base_manager.count() for model in sealed_models())


def forget_unused() -> None:
    """Delete the marks that no row needs any more: it was deleted, or has another value now."""
    without_row(LostValue.objects.all()).delete()
