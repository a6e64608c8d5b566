"""What the database keeps of a share, and the trail of what happened to it.

Never the id, the content or an address: the id's digest, the wrapped data key, a keyed hash.
"""

from typing import Self

from django.db import models
from django.db.models.functions import Now


class ShareQuerySet(models.QuerySet["Share"]):
    """The vocabulary of expiry, by the database's clock."""

    def live(self) -> Self:
        """Shares that can still be opened."""
        return self.filter(expires_at__gt=Now())

    def expired(self) -> Self:
        """Shares that nobody can open any more and that wait for the purge."""
        return self.filter(expires_at__lte=Now())


class Share(models.Model):
    """A secret that waits behind a link."""

    digest = models.BinaryField(max_length=32, unique=True)
    deletion_digest = models.BinaryField(max_length=32)
    #: The data key as the key provider wrapped it; it names the key that did.
    wrapped_key = models.BinaryField()
    #: Where the value store keeps the sealed content.
    value_name = models.CharField(max_length=64)
    size = models.PositiveIntegerField(help_text="bytes of UTF-8")
    label = models.TextField(null=True)
    one_time = models.BooleanField()
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(db_index=True)

    objects = ShareQuerySet.as_manager()

    def __str__(self) -> str:
        return f"share {self.pk}"


class AuditEvent(models.Model):
    """Something that happened to a share, written in the transaction that made it happen."""

    class Kind(models.TextChoices):
        CREATED = "created"
        OPENED = "opened"
        DELETED = "deleted"
        EXPIRED = "expired"

    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=16, choices=Kind)
    share_digest = models.BinaryField(max_length=32)
    address_hash = models.BinaryField(max_length=16, null=True)
    request_id = models.CharField(max_length=64)

    class Meta:
        db_table = "secrets_app_auditevent"

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:%Y-%m-%d %H:%M:%S}"
