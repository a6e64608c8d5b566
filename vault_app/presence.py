"""Whether rows have their values in the configured store: asked before values are deleted."""

from itertools import islice

from django.db.models import Exists, OuterRef
from django.template.defaultfilters import pluralize

from vault_app.backends import remote_store
from vault_app.lost_values import exceeds_tenth
from vault_app.models import Sealed, StoredValue, sealed_models
from vault_app.stores.base import ValueStore

#: Names compared with the rows at once.
_BATCH = 10_000

#: What is to be done about values that are not where VALUE_STORE looks for them.
MOVING = (
    "Set VALUE_STORE=database again. Or move them: stop the service, back up, set VALUE_STORE,"
    " then restore --force --keep-one-time, and fsck."
)


def too_many_lack(model: type[Sealed], store: ValueStore) -> bool:
    """Return whether more than a tenth of the rows has no value in `store`, marked as lost or not.

    Lists the store. Raises StoreUnavailable.
    """
    before, present = model._base_manager.count(), 0
    names = (found.name for found in store.list())
    while batch := list(islice(names, _BATCH)):
        present += len(model.values_in_use(batch))
    rows = min(before, model._base_manager.count())  # those that came or went do not count
    return exceeds_tenth(rows - present, rows)


def misplaced() -> str:
    """Return what is to be said if values are in the database, but VALUE_STORE names another store.

    Nothing, if there are none.
    """
    if remote_store() is None or not StoredValue.objects.exists():
        return ""
    kept = Exists(StoredValue.objects.filter(name=OuterRef("value_name")))
    rows = sum(model._base_manager.filter(kept).count() for model in sealed_models())
    if not rows:
        return ""
    return (
        f"The value{pluralize(rows)} of {rows} row{pluralize(rows)} {pluralize(rows, 'is,are')} in"
        " the database, but VALUE_STORE names another store."
    )
