"""Alice owns a repository, Bob is another's, Charlie is nobody's; and requests in their names."""

import json
from typing import Any

from django.http.response import HttpResponseBase
from django.test import Client

from audit_app.actors import COMMAND_LINE
from audit_app.models import AuditEvent
from repositories_app.actions.repositories import create_repository, get_or_create_user, set_member
from repositories_app.actions.tokens import TokenScope, create_access_token
from repositories_app.authorization import AuthorizedRepository
from repositories_app.models import RepositorySecret

REPOSITORY, OTHERS = "alices-repo", "bobs.repo"


def people() -> None:
    """Make the repositories and who belongs to them."""
    create_repository(REPOSITORY, "alice")
    create_repository(OTHERS, "bob")
    set_member(REPOSITORY, "wendy", "writer")
    set_member(REPOSITORY, "rita", "reader")
    get_or_create_user("charlie")


def token_of(username: str, **scope: Any) -> str:
    """Return a new access token."""
    return create_access_token(username, TokenScope(**scope))[0]


def opened(name: str = REPOSITORY) -> AuthorizedRepository:
    """Return the repository as an action takes it."""
    from repositories_app.models import Repository

    return AuthorizedRepository(Repository.objects.get(name=name).pk, name)


class Api:
    """The repositories API in the name of one token."""

    def __init__(self, token: str | None, repository: str = REPOSITORY) -> None:
        self._client = Client()
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self.place = f"/repositories/{repository}/secrets"

    def send(self, method: str, path: str, body: object = None) -> HttpResponseBase:
        """Send one request; `body` as JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body)
        kind = "application/json" if data else ""
        return self._client.generic(method, path, data, kind, headers=self._headers)

    def set(self, key: object, value: object) -> HttpResponseBase:
        return self.send("POST", self.place, {"secret_key": key, "secret_value": value})

    def list(self) -> HttpResponseBase:
        return self.send("GET", self.place)

    def read(self, key: str) -> HttpResponseBase:
        return self.send("GET", f"{self.place}/{key}")

    def head(self, key: str) -> HttpResponseBase:
        return self.send("HEAD", f"{self.place}/{key}")

    def remove(self, key: str) -> HttpResponseBase:
        return self.send("DELETE", f"{self.place}/{key}")


def content(response: HttpResponseBase) -> Any:
    """Return what an answer holds, as JSON; None for an empty body."""
    data = response.getvalue() if hasattr(response, "getvalue") else b""
    return json.loads(data) if data else None


def happened(**where: Any) -> list[str]:
    """Return the kinds of the events on repositories, in order, without how they were set up."""
    events = AuditEvent.objects.exclude(repository="").exclude(username=COMMAND_LINE.username)
    events = events.filter(**where).order_by("pk")
    return list(events.values_list("kind", flat=True))


def row(key: str) -> RepositorySecret:
    """Return what the database keeps of a secret."""
    return RepositorySecret.objects.get(secret_key=key)
