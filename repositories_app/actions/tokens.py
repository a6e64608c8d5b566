"""Make and revoke access tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from repositories_app.actions.repositories import repository_named
from repositories_app.models import AccessToken
from repositories_app.tokens import new_access_token, shown
from secrets_app import ids
from secrets_app.clock import expiry
from secrets_app.errors import BadRequest


@dataclass(frozen=True, slots=True)
class TokenTerms:
    """How far a token reaches; without `repositories` to all of its user's, without end too."""

    repositories: Sequence[str] = ()
    read_only: bool = False
    lifetime: timedelta | None = None
    label: str = ""


def create_access_token(username: str, terms: TokenTerms) -> tuple[str, AccessToken]:
    """Make a token of a user; returns it for the only time, and its row. Raises BadRequest."""
    user = User.objects.filter(username=username).first()
    if user is None:
        raise BadRequest(f"There is no user {username!r}.")
    repositories = [repository_named(name) for name in terms.repositories]
    token = new_access_token()
    with transaction.atomic():
        row = AccessToken.objects.create(
            user=user,
            digest=ids.digest(token),
            prefix=shown(token),
            label=terms.label,
            read_only=terms.read_only,
            narrowed=bool(repositories),
            expires_at=expiry(terms.lifetime) if terms.lifetime else None,
        )
        row.repositories.set(repositories)
    return token, row


def revoke_access_tokens(numbers: Sequence[int]) -> int:
    """Revoke the tokens of those ids for good; returns how many were not revoked before."""
    live = AccessToken.objects.filter(pk__in=numbers, revoked_at=None)
    return live.update(revoked_at=Now())
