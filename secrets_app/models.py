"""What the database keeps of a share, and of answers that may be repeated.

Never the id, the content or an address: the id's digest, the wrapped data key, a keyed hash.
"""

from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from secrets_app.sealing import share_associated_data
from vault_app.associated_data import AssociatedData
from vault_app.models import Sealed


class ShareQuerySet(models.QuerySet["Share"]):
    """Filters by expiry, on the database's clock."""

    def live(self) -> Self:
        """Return the shares that can still be opened."""
        return self.filter(expires_at__gt=Now())

    def expired(self) -> Self:
        """Return the shares that can no longer be opened and are waiting to be purged."""
        return self.filter(expires_at__lte=Now())


class Share(Sealed):
    """A secret shared by a link."""

    values_of = "shares"

    digest = models.BinaryField(max_length=32, unique=True)
    deletion_digest = models.BinaryField(max_length=32)
    label = models.TextField(null=True)  # see labels.py
    one_time = models.BooleanField()
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(db_index=True)
    #: The keyed hash of an address that its quota counts under; null without a client quota.
    client = models.BinaryField(max_length=16, null=True, editable=False)

    objects = ShareQuerySet.as_manager()

    class Meta(Sealed.Meta):
        indexes = [
            *Sealed.Meta.indexes,
            models.Index(fields=["client"], condition=~Q(client=None), name="share_by_client"),
        ]
        default_permissions = ("view",)
        permissions = [("revoke_share", "Can revoke share"), ("purge_share", "Can purge shares")]

    def __str__(self) -> str:
        return f"share {self.pk}"

    def associated_data(self) -> AssociatedData:
        """Return the associated data that the content is sealed to, besides the link."""
        return share_associated_data(bytes(self.digest), self.expires_at, self.one_time)


class IdempotentResponse(models.Model):
    """An answer that its client may request again for a short while (see idempotency.py)."""

    digest = models.BinaryField(max_length=32, unique=True)
    request_mac = models.BinaryField(max_length=32)
    sealed = models.BinaryField()
    expires_at = models.DateTimeField(db_index=True)
    #: The bytes of the secret that it contains, and the client whose quota they count under, as in
    #: the share that was opened; null where it contains none.
    size = models.BigIntegerField(null=True, editable=False)
    client = models.BinaryField(max_length=16, null=True, editable=False)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["client"], condition=~Q(client=None), name="answer_by_client"),
        ]

    def __str__(self) -> str:
        return f"answer {self.pk}"
