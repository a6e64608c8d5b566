"""Authentication: a request's access token, looked up once, by its digest."""

import hmac
from datetime import timedelta
from typing import cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from audit_app.actors import Actor
from audit_app.guessing import refuse_wrong_token
from audit_app.refusals import count_refusal
from fugata_core import tokens
from fugata_core.access_tokens import is_access_token
from fugata_core.bearer import bearer_token
from fugata_core.callers import Caller
from fugata_core.errors import Unauthorized
from fugata_core.requests import FugataRequest
from repositories_app.persistence import LiveToken, access_table

#: How old `last_used_at` may get before a request updates it.
LAST_USED_RESOLUTION = timedelta(minutes=5)


def find_caller(request: HttpRequest) -> Caller | None:
    """Return the caller of `request`; None without a live access token."""
    token = bearer_token(request)
    return caller_of(token) if token and is_access_token(token) else None


def caller_of(token: str) -> Caller | None:
    """Return the caller that `token` belongs to; None if it is unknown, revoked or expired."""
    digest = tokens.digest(token)
    known = access_table().find_token(digest)
    if known is None or not hmac.compare_digest(known.digest, digest):
        return None
    _record_use(known)
    return known.caller


def _record_use(token: LiveToken) -> None:
    """Record that the token was used, unless that was done within LAST_USED_RESOLUTION."""
    last = token.last_used_at
    if last is None or token.now - last > LAST_USED_RESOLUTION:
        access_table().record_use(token.caller.token_id, LAST_USED_RESOLUTION)


class BearerAuthentication(BaseAuthentication):
    """DRF's adapter; the middleware that rate-limits by token has already looked up the caller."""

    def authenticate(self, request: Request) -> tuple[Caller, Caller]:
        """Return the caller. Raises Unauthorized, or RateLimited for guessing."""
        caller = cast(FugataRequest, request._request).caller
        if caller is not None:
            return caller, caller
        token = bearer_token(request._request)
        if token is None:
            count_refusal(Actor.from_request(request._request))
            raise Unauthorized()
        raise refuse_wrong_token(
            Actor.from_request(request._request), well_formed=is_access_token(token)
        )
