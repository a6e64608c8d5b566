"""The sharing API's viewset: a thin shell over the actions."""

from typing import Any, cast

import msgspec
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from audit_app.actors import Actor
from audit_app.lookups import count_lookup
from fugata_core.bearer import bearer_token
from fugata_core.clock import iso
from fugata_core.errors import FugataError, InternalError, MalformedJson, Unauthorized
from fugata_core.responses import JSON
from fugata_core.routes import SHARE_PAGES, SHARES_API
from fugata_core.viewsets import JsonViewSet
from secrets_app.actions.create import Draft, create_share
from secrets_app.actions.delete import delete_share
from secrets_app.actions.find import find_share
from secrets_app.actions.idempotent import acknowledge, create_idempotently, reveal_idempotently
from secrets_app.actions.reveal import reveal_share
from secrets_app.api.parsers import CreateBody, CreateParser
from secrets_app.api.previews import wants_page
from secrets_app.api.responses import CreatedAnswer, DeletedAnswer, opened_answer
from secrets_app.errors import DecryptFailed, EncryptFailed
from secrets_app.idempotency import validate_key
from secrets_app.pages.views import confirmation_page


def _idempotency_key(request: Request) -> str | None:
    return validate_key(request.META.get("HTTP_IDEMPOTENCY_KEY"))


def _draft(body: CreateBody) -> Draft:
    one_time = None if body.one_time is msgspec.UNSET else body.one_time
    return Draft(body.content, body.duration, one_time, body.metadata)


class ShareViewSet(JsonViewSet):
    """`/secrets` and `/secrets/{id}` (docs/api.md: "Sharing"). Callers are known only
    where creating requires an access token (`permissions.py`).
    """

    parser_classes = [CreateParser]

    @property
    def failure(self) -> str:
        """The API contract's sentence for an unexpected error."""
        sentences = {"create": EncryptFailed.sentence, "retrieve": DecryptFailed.sentence}
        return sentences.get(self.action or "", InternalError.sentence)

    def handle_exception(self, exc: Exception) -> Any:
        """Return the response; a create's tells that its access token is live: a lookup."""
        actor = Actor.from_request(self.request._request)
        if actor.token and isinstance(exc, (FugataError, APIException)):
            count_lookup(actor, "")
        return super().handle_exception(exc)

    def create(self, request: Request) -> HttpResponse:
        """POST /secrets: 201 with id, deletion token and expiry."""
        body = cast(object, request.data)
        if not isinstance(body, CreateBody):  # DRF calls no parser without a body
            raise MalformedJson()
        draft = _draft(body)
        key, actor = _idempotency_key(request), Actor.from_request(request._request)
        if key:
            created = create_idempotently(draft, actor, key, request._request.body)
        else:
            created = create_share(draft, actor)
        answer = CreatedAnswer(created.share_id, created.deletion_token, iso(created.expires_at))
        response = HttpResponse(msgspec.json.encode(answer), content_type=JSON, status=201)
        response.headers["Location"] = f"{SHARES_API}/{created.share_id}"
        response.headers["Link"] = (
            f'<{SHARE_PAGES}{created.share_id}>; rel="alternate"; type="text/html"'
        )
        return response

    def retrieve(self, request: Request, share_id: str) -> HttpResponseBase:
        """GET /secrets/{id}: the content; browsers and robots get the confirmation page instead."""
        if wants_page(request._request):
            return confirmation_page(request._request, share_id)
        key, actor = _idempotency_key(request), Actor.from_request(request._request)
        if key:
            return opened_answer(reveal_idempotently(share_id, actor, key))
        return opened_answer(reveal_share(share_id, actor))

    def exists(self, request: Request, share_id: str) -> HttpResponse:
        """HEAD /secrets/{id}: 200 or 404; consumes nothing."""
        if wants_page(request._request):
            return confirmation_page(request._request, share_id)
        find_share(share_id)
        return HttpResponse(content_type=JSON)

    def destroy(self, request: Request, share_id: str) -> HttpResponse:
        """DELETE /secrets/{id} by deletion token, or by the idempotency key that opened it."""
        token, actor = bearer_token(request._request), Actor.from_request(request._request)
        key = _idempotency_key(request)
        if not (key and acknowledge(share_id, actor, key)):
            if token is None:
                raise Unauthorized()
            delete_share(share_id, token, actor)
        answer = DeletedAnswer("Secret deleted successfully")
        return HttpResponse(msgspec.json.encode(answer), content_type=JSON)
