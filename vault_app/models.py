"""The vault's tables, and the columns that every row with a sealed value has."""

import uuid
from collections.abc import Collection, Iterator
from typing import ClassVar, TypeVar

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from fugata_core.streams import stream
from vault_app.associated_data import AssociatedData

M = TypeVar("M", bound=models.Model)


class StoredValue(models.Model):
    """A sealed value, kept by DatabaseStore. Never changed, only created and deleted."""

    name = models.CharField(max_length=64, primary_key=True)
    sealed = models.BinaryField()

    def __str__(self) -> str:
        return f"value {self.name}"


class LostValue(models.Model):
    """A mark: the value store has no value of that name, though a row points to it.

    The row stays, with the only copy of its data key: the value may come back from a back-up.
    """

    name = models.CharField(max_length=64, primary_key=True)
    marked_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"lost value {self.name}"


class Leftover(models.Model):
    """A value that may be in a remote store, and that no row will point to any more.

    `since`: when it was noted; or later, if it is not known until then whether a row points to it.
    """

    name = models.CharField(max_length=64, primary_key=True)
    app = models.CharField(max_length=20)
    since = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"leftover value of {self.app}"


class Installation(models.Model):
    """This installation: one row, created when first needed.

    `identity` labels what it keeps outside the database, so that installations do not mix.
    """

    _THE_ONE = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=_THE_ONE)
    uuid = models.UUIDField(default=uuid.uuid4)

    def __str__(self) -> str:
        return f"installation {self.uuid}"

    @classmethod
    def identity(cls) -> str:
        """Return the installation's random identity, the same for all processes."""
        return str(cls.objects.get_or_create(pk=cls._THE_ONE)[0].uuid)


class KeyEncryptionKey(models.Model):
    """A key that data keys are wrapped under, by its id; only the key provider has its bytes.

    `check_value`: a known constant wrapped by it, which proves at start-up that it is the same key.
    """

    id = models.CharField(max_length=200, primary_key=True)
    check_value = models.BinaryField()
    #: When the check value was last sealed under a newer version of the key; null: it never was.
    check_value_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    #: When the worker was asked to re-wrap every data key under the primary; null if it was not.
    rewrap_asked_at = models.DateTimeField(null=True)
    #: Whether that was also for what older versions of the primary wrapped.
    rewrap_versions = models.BooleanField(default=False, db_default=False)

    def __str__(self) -> str:
        return self.id


class Sealed(models.Model):
    """A row whose value is sealed under its own data key.

    The foreign key makes the database refuse to delete a key that a row needs.
    `values_of`: the app that the value store keeps them for.
    """

    values_of: ClassVar[str]

    #: The data key as the key provider wrapped it; it names the key that wrapped it.
    wrapped_key = models.BinaryField()
    key = models.ForeignKey(
        KeyEncryptionKey, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    #: Where the value store keeps the sealed content.
    value_name = models.CharField(max_length=64)
    size = models.PositiveIntegerField(help_text="bytes of UTF-8")

    class Meta:
        abstract = True
        # Not by db_index: on PostgreSQL that brings a second index, for LIKE.
        indexes = [models.Index(fields=["key"], name="%(class)s_key")]

    @classmethod
    def needed_values(cls) -> Iterator[tuple[str, int]]:
        """Yield the name of the value of each row, and the bytes of its content."""
        yield from stream(cls._base_manager.values_list("value_name", "size"))

    @classmethod
    def values_in_use(cls, names: Collection[str]) -> set[str]:
        """Return those of `names` that a row points to, whether or not it is still live."""
        rows = cls._base_manager.filter(value_name__in=names)
        return set(rows.values_list("value_name", flat=True))

    def associated_data(self) -> AssociatedData:
        """Return what the row's value is bound to, as the row now stands."""
        raise NotImplementedError


class DeletionHold(models.Model):
    """While one lasts, no value is deleted from a remote store (see deletion_hold.py)."""

    until = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"hold until {self.until}"


def sealed_models() -> list[type[Sealed]]:
    """Return every model with sealed values."""
    return [model for model in apps.get_models() if issubclass(model, Sealed)]


def without_row(values: QuerySet[M]) -> QuerySet[M]:
    """Return those of StoredValue, or LostValue, whose `name` no row points to."""
    for model in sealed_models():
        values = values.exclude(Exists(model._base_manager.filter(value_name=OuterRef("name"))))
    return values
