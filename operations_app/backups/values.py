"""Which values rows need, and which of them are not there."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from django.db.models import Exists, OuterRef
from django.db.models.functions import Length
from django.template.defaultfilters import pluralize

from vault_app import lost_values
from vault_app.backends import value_store
from vault_app.envelope import OVERHEAD
from vault_app.errors import ValueMissing
from vault_app.models import StoredValue, sealed_models

#: App and name of a value.
Value = tuple[str, str]


def needed_values() -> Iterator[tuple[str, str, int]]:
    """Yield app, name and sealed size in bytes of the value of each row."""
    for model in sealed_models():
        for name, size in model.needed_values():
            yield model.values_of, name, size + OVERHEAD


def whole_value(app: str, name: str, size: int) -> bytes | None:
    """Return a value; None if it is not there or was emptied or cut: that opens for nobody.

    Raises StoreUnavailable.
    """
    try:
        sealed = value_store(app).get(name)
    except ValueMissing:
        return None
    return sealed if len(sealed) == size else None


def lacking_in_database() -> set[Value]:
    """Return the values that rows need and the database lacks, or has in another size."""
    sizes = StoredValue.objects.annotate(length=Length("sealed"))
    fits = sizes.filter(name=OuterRef("value_name"), length=OuterRef("size") + OVERHEAD)
    lacking: set[Value] = set()
    for model in sealed_models():
        names = model._base_manager.exclude(Exists(fits)).values_list("value_name", flat=True)
        lacking.update((model.values_of, name) for name in names)
    return lacking


@dataclass(frozen=True, slots=True)
class Needs:
    """How many rows of each app need a value, and which values are marked as lost."""

    rows: Counter[str]
    marked: set[str]

    @classmethod
    def now(cls) -> Self:
        """Return what the database has now."""
        rows = {model.values_of: model._base_manager.count() for model in sealed_models()}
        return cls(Counter(rows), lost_values.marked_names())

    def without(self, lacking: set[Value]) -> "Gaps":
        """Return what it is to lack these."""
        lost = sum(name in self.marked for _, name in lacking)
        by_app = Counter(app for app, _ in lacking)
        too_many = any(lost_values.exceeds_tenth(by_app[app], self.rows[app]) for app in by_app)
        return Gaps(len(lacking), lost, is_partial=too_many or lost < len(lacking))


@dataclass(frozen=True, slots=True)
class Gaps:
    """How many rows lack their value, and how many of these are marked as lost.

    `is_partial`: some are not marked, or they are more than a tenth of an app's rows.
    """

    lacking: int
    lost: int
    is_partial: bool

    def __str__(self) -> str:
        """Return a sentence without its full stop."""
        marked = f" (marked as lost: {self.lost})" if self.lost else ""
        rows = f"{self.lacking} row{pluralize(self.lacking)}"
        have, them = pluralize(self.lacking, "has,have"), pluralize(self.lacking, "it,them")
        return f"{rows} {have} no value that belongs to {them}{marked}"
