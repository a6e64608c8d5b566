"""The vault's tables, and the columns that every row with a sealed value has."""

import uuid
from typing import ClassVar

from django.apps import apps
from django.db import models
from django.db.models.functions import Now

from vault_app.associated_data import AssociatedData


class StoredValue(models.Model):
    """A sealed value, kept by DatabaseStore. Never changed, only made and deleted."""

    name = models.CharField(max_length=64, primary_key=True)
    sealed = models.BinaryField()

    def __str__(self) -> str:
        return f"value {self.name}"


class Installation(models.Model):
    """This installation: one row, made at the first need.

    `identity` labels what it keeps outside the database, so that nobody takes another's.
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
    """A key that data keys are wrapped under, by its id; its bytes are the key provider's alone.

    `check_value`: a known constant wrapped by it, which proves at start-up that the key is it.
    """

    id = models.CharField(max_length=200, primary_key=True)
    check_value = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())
    #: When somebody asked the worker to re-wrap every data key under the primary; null if nobody.
    rewrap_asked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.id


class Sealed(models.Model):
    """A row whose value is sealed under a data key of its own.

    The reference to the key is the database's word that no key goes while a row needs it.
    `values_of`: whose values they are to the value store.
    """

    values_of: ClassVar[str]

    #: The data key as the key provider wrapped it; it names the key that did.
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

    def associated_data(self) -> AssociatedData:
        """Return what the row's value is sealed to, as the row stands."""
        raise NotImplementedError


class DeletionHold(models.Model):
    """While one lasts, no value is deleted from a remote store (see hold.py)."""

    until = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"hold until {self.until}"


def sealed_models() -> list[type[Sealed]]:
    """Return every table with sealed values."""
    return [model for model in apps.get_models() if issubclass(model, Sealed)]
