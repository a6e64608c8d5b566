"""Setting one's own password: who found a browser that is signed in must not guess the old one."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from audit_app.actors import Actor
from audit_app.guessing import forgive_sign_in, refuse_many_sign_ins
from audit_app.models import AuditEvent
from audit_app.refusals import count_refusal
from audit_app.trail import record


def counted_change(request: HttpRequest, change: Callable[[], HttpResponse]) -> HttpResponse:
    """Return what `change` answers; wrong old passwords count as wrong sign-ins do.

    A change is an event. Raises TooManySignIns, before any password is checked.
    """
    actor, username = Actor.from_session(request), request.user.get_username()
    refuse_many_sign_ins(actor, username)
    is_wrong = False
    try:
        response = change()
        is_wrong = "old_password" in _errors(response)
    finally:
        if not is_wrong:
            forgive_sign_in(actor, username)
    if is_wrong:
        count_refusal(actor)
    elif response.status_code == 302:
        record(AuditEvent.Kind.ACCOUNT_CHANGED, actor, subject=f"user {username}, password")
    return response


def _errors(response: HttpResponse) -> dict[str, object]:
    context = getattr(response, "context_data", None) or {}
    return context["form"].errors if "form" in context else {}
