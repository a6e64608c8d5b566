"""Create and revoke access tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from audit_app.actors import COMMAND_LINE, Actor
from audit_app.models import AuditEvent
from audit_app.trail import record
from fugata_core import tokens
from fugata_core.access_tokens import new_access_token, token_prefix
from fugata_core.clock import expiry
from repositories_app.actions.repositories import get_repository, lock_active_user
from repositories_app.models import AccessToken


@dataclass(frozen=True, slots=True)
class TokenScope:
    """A token's scope; no `repositories` means all of its user's, no `lifetime` no expiry."""

    repositories: Sequence[str] = ()
    read_only: bool = False
    lifetime: timedelta | None = None
    label: str = ""


def create_access_token(
    username: str, scope: TokenScope, actor: Actor = COMMAND_LINE
) -> tuple[str, AccessToken]:
    """Create a token for an active user; return it, this once, and its row. Raises BadRequest."""
    token = new_access_token()
    with transaction.atomic():
        user = lock_active_user(username)  # or a deactivation would not see the token
        repositories = [get_repository(name) for name in scope.repositories]
        row = AccessToken.objects.create(
            user=user,
            digest=tokens.digest(token),
            prefix=token_prefix(token),
            label=tokens.cut_secrets(scope.label),
            read_only=scope.read_only,
            narrowed=bool(repositories),
            expires_at=expiry(scope.lifetime) if scope.lifetime else None,
        )
        row.repositories.set(repositories)
        record(AuditEvent.Kind.TOKEN_CREATED, actor, subject=_description(row))
    return token, row


def revoke_access_tokens(primary_keys: Sequence[int], actor: Actor = COMMAND_LINE) -> int:
    """Revoke the tokens with those ids for good; return how many were not revoked before."""
    with transaction.atomic():
        rows = AccessToken.objects.select_for_update(of=("self",)).select_related("user")
        live = list(rows.filter(pk__in=primary_keys, revoked_at=None))
        AccessToken.objects.filter(pk__in=[row.pk for row in live]).update(revoked_at=Now())
        for row in live:
            record(AuditEvent.Kind.TOKEN_REVOKED, actor, subject=_description(row))
    return len(live)


def revoke_tokens_of(user: User, actor: Actor) -> int:
    """Revoke all of a user's tokens that neither are revoked nor ended; return how many."""
    tokens_left = AccessToken.objects.lasting().filter(user=user)
    return revoke_access_tokens(list(tokens_left.values_list("pk", flat=True)), actor)


def _description(row: AccessToken) -> str:
    return f"{row.prefix} of {row.user.get_username()}"
