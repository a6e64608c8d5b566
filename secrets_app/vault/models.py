"""The vault's tables."""

from django.db import models
from django.db.models.functions import Now


class StoredValue(models.Model):
    """A sealed value, kept by DatabaseStore. Never changed, only made and deleted."""

    name = models.CharField(max_length=64, primary_key=True)
    sealed = models.BinaryField()

    def __str__(self) -> str:
        return f"value {self.name}"


class KeyCheck(models.Model):
    """A known constant wrapped by a key-encryption key: proves at start-up that the key is it."""

    key_id = models.CharField(max_length=64, primary_key=True)
    wrapped = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"check value of key {self.key_id}"
