"""The repositories API's viewset: a thin shell over the actions."""

from typing import cast

import msgspec
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from audit_app.actors import Actor
from fugata_core.callers import Caller
from fugata_core.errors import MalformedJson
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
from repositories_app.authorization import authorize_reading, authorize_writing


class SecretViewSet(JsonViewSet):
    """`/repositories/{repoID}/secrets` and one secret of it (docs/api.md: "Repositories").

    Checks who the caller is (401), then what they may see (404), then what they may do (403), and
    only then the request itself.
    """

    authentication_classes = [BearerAuthentication]
    parser_classes = [SetParser]

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        """Authenticate the caller."""
        super().initial(request, *args, **kwargs)
        self._caller = cast(Caller, request.auth)
        self._actor: Actor = Actor.from_request(request._request)

    def list(self, request: Request, repository: str) -> HttpResponse:
        """GET: the keys, sorted by code point."""
        authorized = authorize_reading(self._caller, repository, self._actor)
        keys = list_secret_keys(authorized, self._actor)
        return HttpResponse(msgspec.json.encode(keys), content_type=JSON)

    def set(self, request: Request, repository: str) -> HttpResponse:
        """POST: 201 with no body, for a new secret or a new value."""
        authorized = authorize_writing(self._caller, repository, self._actor)
        body = cast(object, request.data)
        if not isinstance(body, SetBody):  # DRF calls no parser without a body
            raise MalformedJson()
        set_secret(authorized, body.secret_key, body.secret_value, self._actor)
        return HttpResponse(status=201, content_type=JSON)

    def retrieve(self, request: Request, repository: str, secret_key: str) -> HttpResponseBase:
        """GET: the value."""
        authorized = authorize_reading(self._caller, repository, self._actor)
        return secret_answer("secret_value", read_secret(authorized, secret_key, self._actor))

    def exists(self, request: Request, repository: str, secret_key: str) -> HttpResponse:
        """HEAD: 200 or 404; reads no value."""
        authorized = authorize_reading(self._caller, repository, self._actor)
        require_secret(authorized, secret_key, self._actor)
        return HttpResponse(content_type=JSON)

    def destroy(self, request: Request, repository: str, secret_key: str) -> HttpResponse:
        """DELETE: 204."""
        remove_secret(
            authorize_writing(self._caller, repository, self._actor), secret_key, self._actor
        )
        return HttpResponse(status=204)
