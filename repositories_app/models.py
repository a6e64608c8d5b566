"""Repositories, their members, access tokens, and the keys of their secrets.

Values are in the value store and tokens are kept as digests: neither is ever in these tables.
"""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from fugata_core.tokens import cut_secrets
from repositories_app.names import REPOSITORY_PATTERN, REPOSITORY_RULE
from repositories_app.sealing import secret_associated_data
from vault_app.associated_data import AssociatedData
from vault_app.models import Sealed

_name_rule = RegexValidator(
    rf"\A{REPOSITORY_PATTERN}\Z", f"A repository's id is {REPOSITORY_RULE}."
)


class Repository(models.Model):
    """A repository; `name` is the id that clients know it by."""

    name = models.CharField("id", max_length=100, unique=True, validators=[_name_rule])
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "repositories"

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """What a user may do in a repository."""

    class Role(models.TextChoices):
        READER = "reader"
        WRITER = "writer"
        OWNER = "owner"

    repository = models.ForeignKey(
        Repository, on_delete=models.CASCADE, related_name="memberships", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=8, choices=Role, default=Role.READER)

    class Meta:
        verbose_name = "member"
        constraints = [models.UniqueConstraint(fields=["repository", "user"], name="member_once")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.repository}"


class AccessTokenQuerySet(models.QuerySet["AccessToken"]):
    """Filters by validity, on the database's clock."""

    def live(self) -> Self:
        """Return the tokens that are neither revoked nor expired, of active users."""
        return self.lasting().filter(user__is_active=True)

    def lasting(self) -> Self:
        """Return the tokens that are neither revoked nor expired: they work if their user may."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None)


class AccessToken(models.Model):
    """A user's bearer token, kept as its digest; it may have fewer rights than its user."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="access_tokens"
    )
    digest = models.BinaryField(max_length=32, unique=True)
    #: The first characters of the token, by which people recognise it.
    prefix = models.CharField(max_length=16)
    label = models.CharField(max_length=200, blank=True)
    read_only = models.BooleanField(default=False)
    #: Whether it is valid for `repositories` only. A separate flag, so that when the last of them
    #: is deleted, the token is valid for nothing, not for everything.
    narrowed = models.BooleanField(default=False)
    repositories = models.ManyToManyField(Repository, blank=True, related_name="access_tokens")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, editable=False)
    #: Accurate to a few minutes: not every request updates it.
    last_used_at = models.DateTimeField(null=True, editable=False)

    objects = AccessTokenQuerySet.as_manager()

    class Meta:
        default_permissions = ("add", "view")
        permissions = [("revoke_accesstoken", "Can revoke access token")]

    def __str__(self) -> str:
        return f"{self.prefix}… of {self.user}"

    @property
    def shown_label(self) -> str:
        """The label, without what has the form of an id or a token: an older row may have one."""
        return cut_secrets(self.label)

    def state(self, now: datetime) -> str:
        """Return `live`, `revoked`, `expired` or `inactive user`."""
        if self.revoked_at:
            return "revoked"
        if self.expires_at and self.expires_at <= now:
            return "expired"
        return "live" if self.user.is_active else "inactive user"


class RepositorySecret(Sealed):
    """A key of a repository; the sealed value is in the value store, under `value_name`."""

    values_of = "repositories"

    repository = models.ForeignKey(
        Repository, on_delete=models.PROTECT, related_name="secrets", db_index=False
    )
    secret_key = models.CharField(max_length=253)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta(Sealed.Meta):
        default_permissions = ("view",)
        permissions = [("remove_repositorysecret", "Can remove repository secret")]
        constraints = [
            models.UniqueConstraint(fields=["repository", "secret_key"], name="secret_once")
        ]

    def __str__(self) -> str:
        return cut_secrets(self.secret_key)

    def associated_data(self) -> AssociatedData:
        """Return the associated data that the value is sealed to."""
        return secret_associated_data(self.repository.name, self.secret_key, self.value_name)
