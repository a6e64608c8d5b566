"""The audit trail's tables. They hold no address, only a keyed hash."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class AuditEvent(models.Model):
    """Something that happened, written in the transaction that made it happen.

    It names what it is about as text, so that it outlives the share, the repository and the user.
    """

    class Kind(models.TextChoices):
        CREATED = "created"
        OPENED = "opened"
        OPEN_FAILED = "open failed"
        REPEATED = "repeated"
        ACKNOWLEDGED = "acknowledged"
        DELETED = "deleted"
        EXPIRED = "expired"
        SET = "set"
        READ = "read"
        READ_FAILED = "read failed"
        LOOKED_UP = "looked up"
        REMOVED = "removed"
        REFUSED = "refused"
        PURGED = "purged"
        SIGNED_IN = "signed in"
        REPO_CREATED = "repo created"
        REPO_DELETED = "repo deleted"
        MEMBER_SET = "member set"
        MEMBER_REMOVED = "member removed"
        TOKEN_CREATED = "token created"  # noqa: S105
        TOKEN_REVOKED = "token revoked"  # noqa: S105
        ACCOUNT_CHANGED = "account changed"
        HEAD_RESET = "head reset"

    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=16, choices=Kind)
    share_digest = models.BinaryField(max_length=32, null=True)
    repository = models.CharField(max_length=100, db_default="")
    secret_key = models.CharField(max_length=253, db_default="")
    username = models.CharField(max_length=150, db_default="")
    #: The beginning of the access token, as lists of tokens show it.
    token = models.CharField(max_length=16, db_default="")
    #: What an administrative act was about: a member and role, a token's beginning.
    subject = models.CharField(max_length=200, db_default="")
    address_hash = models.BinaryField(max_length=16, null=True)
    request_id = models.CharField(max_length=64)
    #: How many times it happened: refusals without a token are counted per client and minute,
    #: lookups per token, client, repository and minute.
    count = models.PositiveIntegerField(db_default=1)
    #: The event's place in the sealed chain, and the chain's HMAC up to it; null until sealed.
    position = models.PositiveBigIntegerField(null=True)
    mac = models.BinaryField(max_length=32, null=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["position"], condition=Q(position__isnull=False), name="position_once"
            )
        ]
        indexes = [
            # Every list and count covers a span of time. It costs an insert 0.6 µs of about 100 µs.
            models.Index(fields=["at"], name="auditevent_at"),
            models.Index(fields=["id"], condition=Q(position=None), name="auditevent_unsealed"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:%Y-%m-%d %H:%M:%S}"


class AuditStub(models.Model):
    """What is left of sealed events that were pruned: positions up to `through` are gone.

    `mac` is the chain's HMAC at `through`, from which the chain goes on; `proof` is an HMAC over
    the stub itself, so that nobody without the audit key can make one.
    """

    through = models.PositiveBigIntegerField(primary_key=True)
    mac = models.BinaryField(max_length=32)
    proof = models.BinaryField(max_length=32)
    newest_at = models.DateTimeField(help_text="when the newest of them happened")
    pruned_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"events up to position {self.through} were pruned"


class RefusalCount(models.Model):
    """Refusals without a valid token of one client in one minute, until they become one event."""

    address_hash = models.BinaryField(max_length=16)
    minute = models.PositiveBigIntegerField(help_text="Unix time in minutes")
    count = models.PositiveIntegerField(default=1)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["address_hash", "minute"], name="refusals_once")
        ]

    def __str__(self) -> str:
        return f"{self.count} refusals"


class LookupCount(models.Model):
    """Lookups by one access token from one address in one minute, until they become one event."""

    minute = models.PositiveBigIntegerField(help_text="Unix time in minutes")
    username = models.CharField(max_length=150)
    token = models.CharField(max_length=16)
    address_hash = models.BinaryField(max_length=16)
    repository = models.CharField(max_length=100)
    count = models.PositiveIntegerField(default=1)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "username", "token", "address_hash", "repository"],
                name="lookups_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.count} lookups"
