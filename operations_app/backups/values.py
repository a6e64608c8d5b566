"""Which values rows point to, and which of them are missing."""

from collections.abc import Iterator

from django.db.models import Exists, OuterRef

from vault_app.models import StoredValue, sealed_models


def value_names() -> Iterator[tuple[str, str]]:
    """Yield app and name of the value of each row."""
    for model in sealed_models():
        for name in model.value_names():
            yield model.values_of, name


def absent_from_database() -> set[str]:
    """Return the names of values that rows point to and that are not in the database."""
    absent: set[str] = set()
    kept = StoredValue.objects.filter(name=OuterRef("value_name"))
    for model in sealed_models():
        rows = model._base_manager.exclude(Exists(kept))
        absent.update(rows.values_list("value_name", flat=True))
    return absent
