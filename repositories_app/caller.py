"""Who asks, once a token has said so."""

from dataclasses import dataclass, replace

from django.http import HttpRequest

from audit_app.actors import Actor


@dataclass(frozen=True, slots=True)
class Caller:
    """A live access token and whose it is; `narrowed`: good for its own repositories alone."""

    token_id: int
    user_id: int
    username: str
    prefix: str
    read_only: bool
    narrowed: bool

    def actor(self, request: HttpRequest) -> Actor:
        """Return what the trail records of this caller's request."""
        return replace(Actor.of(request), username=self.username, token=self.prefix)
