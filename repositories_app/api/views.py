"""The repositories API's viewset: a thin shell over the actions."""

from typing import Any, cast

import msgspec
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import MethodNotAllowed, UnsupportedMediaType
from rest_framework.request import Request

from audit_app.actors import Actor
from audit_app.lookups import count_lookup
from fugata_core.callers import Caller
from fugata_core.errors import BadRequest, MalformedJson, SecretTooLarge
from fugata_core.responses import JSON, secret_answer
from fugata_core.viewsets import JsonViewSet
from repositories_app.actions.secrets import (
    list_secret_keys,
    read_secret,
    remove_secret,
    require_secret,
    set_secret,
)
from repositories_app.api.parsers import SetBody, SetParser
from repositories_app.authentication import BearerAuthentication
from repositories_app.authorization import (
    AuthorizedRepository,
    authorize_reading,
    authorize_writing,
)

#: What is wrong with a request beside its token and its repository.
_TELLING = (BadRequest, SecretTooLarge, MethodNotAllowed, UnsupportedMediaType)


class SecretViewSet(JsonViewSet):
    """`/repositories/{repoID}/secrets` and one secret of it (docs/api.md: "Repositories").

    Checks who the caller is (401), then what they may see (404), then what they may do (403), and
    only then the request itself.
    """

    authentication_classes = [BearerAuthentication]
    parser_classes = [SetParser]
    _caller: Caller | None = None
    #: The repository in which the caller was found to be a member.
    _repository = ""

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        """Authenticate the caller."""
        super().initial(request, *args, **kwargs)
        self._caller = cast(Caller, request.auth)
        self._actor: Actor = Actor.from_request(request._request)

    def handle_exception(self, exc: Exception) -> Any:
        """Return the response; one that tells of a live token or its repository is a lookup."""
        if self._caller is not None and isinstance(exc, _TELLING):
            count_lookup(self._actor, self._repository)
        return super().handle_exception(exc)

    def _readable(self, repository: str) -> AuthorizedRepository:
        return self._noted(authorize_reading(cast(Caller, self._caller), repository, self._actor))

    def _writable(self, repository: str) -> AuthorizedRepository:
        return self._noted(authorize_writing(cast(Caller, self._caller), repository, self._actor))

    def _noted(self, authorized: AuthorizedRepository) -> AuthorizedRepository:
        self._repository = authorized.name
        return authorized

    def list(self, request: Request, repository: str) -> HttpResponse:
        """GET: the keys, sorted by code point."""
        keys = list_secret_keys(self._readable(repository), self._actor)
        return HttpResponse(msgspec.json.encode(keys), content_type=JSON)

    def set(self, request: Request, repository: str) -> HttpResponse:
        """POST: 201 with no body, for a new secret or a new value."""
        authorized = self._writable(repository)
        body = cast(object, request.data)
        if not isinstance(body, SetBody):  # DRF calls no parser without a body
            raise MalformedJson()
        set_secret(authorized, body.secret_key, body.secret_value, self._actor)
        return HttpResponse(status=201, content_type=JSON)

    def retrieve(self, request: Request, repository: str, secret_key: str) -> HttpResponseBase:
        """GET: the value."""
        content = read_secret(self._readable(repository), secret_key, self._actor)
        return secret_answer("secret_value", content)

    def exists(self, request: Request, repository: str, secret_key: str) -> HttpResponse:
        """HEAD: 200 or 404; reads no value."""
        require_secret(self._readable(repository), secret_key, self._actor)
        return HttpResponse(content_type=JSON)

    def destroy(self, request: Request, repository: str, secret_key: str) -> HttpResponse:
        """DELETE: 204."""
        remove_secret(self._writable(repository), secret_key, self._actor)
        return HttpResponse(status=204)
