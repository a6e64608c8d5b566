"""The share pages: thin shells over the actions, answered in HTML."""

import base64
from collections.abc import Mapping
from contextlib import closing

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from audit_app.actors import Actor
from fugata_core import tokens
from fugata_core.errors import BadRequest, FugataError, SecretTooLarge
from fugata_core.methods import allow_methods
from fugata_core.views import carries_secret, refusal_page, requires
from secrets_app.actions.create import create_share
from secrets_app.actions.delete import delete_share
from secrets_app.actions.find import find_share
from secrets_app.actions.idempotent import reveal_idempotently
from secrets_app.actions.reveal import OpenedShare, reveal_share
from secrets_app.errors import ShareNotFound
from secrets_app.idempotency import validate_key
from secrets_app.pages.forms import NewShareForm
from secrets_app.permissions import require_form_creation

#: Size in bytes above which a secret is downloaded as a file instead of shown.
MAX_DISPLAYED = 2**20
#: Length in characters of the idempotency key that the form carries.
_KEY_LENGTH = 32


def form_refusal_page(request: HttpRequest, refusal: FugataError) -> HttpResponse | None:
    """Return the filled-in form with the reason for the refusal; None if no form was sent."""
    if not getattr(request, "_post", None):  # POST itself would have Django read the body
        return None
    sentence = refusal.for_people or refusal.sentence
    return _redisplay_form(request, sentence, refusal.status, refusal.headers)


def _redisplay_form(
    request: HttpRequest,
    sentence: str,
    status: int,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    with closing(NewShareForm(request.POST)) as form:
        form.is_valid()
        form.add_error(None, sentence)
        return _form_page(request, form, status, headers)


@requires(require_form_creation)
@carries_secret
@refusal_page(form_refusal_page)
@allow_methods("GET", "HEAD", "POST")
def new(request: HttpRequest) -> HttpResponse:
    """`/`: the form and its result."""
    if request.method != "POST":
        return _form_page(request, NewShareForm())
    with closing(NewShareForm(request.POST)) as form:
        return _create(request, form)


def _create(request: HttpRequest, form: NewShareForm) -> HttpResponse:
    if not form.is_valid():
        return _form_page(request, form, status=400)
    draft = form.draft()
    try:
        created = create_share(draft, Actor.from_request(request))
    except (BadRequest, SecretTooLarge) as error:
        form.add_error("content", error.sentence)
        return _form_page(request, form, status=error.status)
    context = {
        "link": _address(request, reverse("pages:share", args=[created.share_id])),
        "expires_at": created.expires_at,
        "one_time": draft.one_time,
        "label": draft.label,
        "delete_url": reverse("pages:delete", args=[created.share_id]),
        "deletion_token": created.deletion_token,
    }
    return render(request, "shares/created.html", context)


def _form_page(
    request: HttpRequest,
    form: NewShareForm,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    if form.is_bound:
        form.drop_long_values()
    context = {"form": form, "max_size": settings.MAX_SECRET_SIZE}
    response = render(request, "shares/new.html", context, status=status)
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response


def _address(request: HttpRequest, path: str) -> str:
    return settings.PUBLIC_URL + path if settings.PUBLIC_URL else request.build_absolute_uri(path)


@allow_methods("GET", "HEAD", "POST")
def share(request: HttpRequest, share_id: str) -> HttpResponse:
    """`/s/{id}`: describe the share; a POST opens it."""
    if request.method != "POST":
        return confirmation_page(request, share_id)
    try:
        opened = _reveal(request, share_id)
    except ShareNotFound:
        return _not_found_page(request)
    if len(opened.content) > MAX_DISPLAYED:
        return _as_file(opened)
    return _opened_page(request, opened)


def _reveal(request: HttpRequest, share_id: str) -> OpenedShare:
    """Open under the form's idempotency key, so that a lost response can be requested again."""
    key = request.POST.get("idempotency_key")
    if key:
        return reveal_idempotently(share_id, Actor.from_request(request), validate_key(key) or "")
    return reveal_share(share_id, Actor.from_request(request))


def confirmation_page(request: HttpRequest, share_id: str) -> HttpResponse:
    """Describe the share behind the link and ask before opening it; consume nothing."""
    try:
        waiting = find_share(share_id)
    except ShareNotFound:
        return _not_found_page(request)
    context = {
        "label": waiting.label,
        "one_time": waiting.one_time,
        "expires_at": waiting.expires_at,
        "size": waiting.size,
        "as_file": waiting.size > MAX_DISPLAYED,
        "open_url": reverse("pages:share", args=[share_id]),
        "idempotency_key": tokens.random_alphanumeric(_KEY_LENGTH),
    }
    return render(request, "shares/waiting.html", context)


def _opened_page(request: HttpRequest, opened: OpenedShare) -> HttpResponse:
    encoded = base64.b64encode(opened.content).decode()
    context = {
        "content": opened.content.decode(),
        "download": f"data:text/plain;charset=utf-8;base64,{encoded}",
        "label": opened.label,
        "one_time": opened.one_time,
        "expires_at": opened.expires_at,
        "reloadable": bool(request.POST.get("idempotency_key")),
        "grace": settings.IDEMPOTENCY_GRACE_SECONDS,
    }
    return render(request, "shares/opened.html", context)


def _as_file(opened: OpenedShare) -> HttpResponse:
    response = HttpResponse(opened.content, content_type="text/plain; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="secret.txt"'
    return response


def _not_found_page(request: HttpRequest) -> HttpResponse:
    return render(request, "shares/gone.html", status=404)


@allow_methods("POST")
def delete(request: HttpRequest, share_id: str) -> HttpResponse:
    """`/s/{id}/delete`: delete a share from the page that its creator still has open."""
    try:
        delete_share(share_id, request.POST.get("deletion_token", ""), Actor.from_request(request))
    except ShareNotFound:
        return _not_found_page(request)
    return render(request, "shares/deleted.html")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Respond to a form whose CSRF token does not match; keep what was typed."""
    sentence = (
        "This page was open for too long, or your browser keeps no cookies for it."
        " Nothing was used up: allow cookies here, load the page again, and retry."
    )
    if request.path_info != reverse("pages:new"):
        context = {"title": "Please try again", "sentence": sentence}
        return render(request, "message.html", context, status=403)
    sentence = "The form could not be verified. Press the button once more."
    return _redisplay_form(request, sentence, status=403)
