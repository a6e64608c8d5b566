"""Who may create shares, if the settings restrict that. Anybody may still open them.

CREATE_ALLOWED_FROM: clients in certain networks. CREATE_REQUIRES_LOGIN: on the page, signed-in
users; by API, access tokens with all of their user's rights.
"""

from collections.abc import Callable
from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.views import redirect_to_login
from django.http import HttpResponse

from audit_app.actors import Actor
from audit_app.guessing import refuse_wrong_token
from audit_app.models import AuditEvent
from audit_app.trail import record
from fugata_core import routes
from fugata_core.access_tokens import is_access_token
from fugata_core.bearer import bearer_token
from fugata_core.database_failures import ANY_ERROR, database_failure
from fugata_core.errors import FugataError, RateLimited
from fugata_core.limits import BACKENDS, bulkhead
from fugata_core.requests import FugataRequest
from secrets_app.errors import CreationNotAllowed, SignInToCreate, TokenMayNotCreate


def require_api_creation(request: FugataRequest) -> None:
    """Raise the refusal if this API request may not create a share."""
    if request.method == "POST":
        _check(request, _check_token)


def require_form_creation(request: FugataRequest) -> HttpResponse | None:
    """Raise the refusal if the form may not be used; return a redirect if signing in helps."""
    try:
        _check(request, _check_session)
    except SignInToCreate:
        return redirect_to_login(routes.NEW_SHARE, routes.SIGN_IN)
    return None


def _check(request: FugataRequest, check_login: Callable[[FugataRequest], None]) -> None:
    if not request.is_network_allowed:
        raise CreationNotAllowed()
    if not settings.CREATE_REQUIRES_LOGIN:
        return
    try:
        with bulkhead(BACKENDS).place(in_vain=ANY_ERROR):
            check_login(request)
    except ANY_ERROR as error:
        raise database_failure(error) from None


def _check_session(request: FugataRequest) -> None:
    """Read the session without creating or extending one. Raises SignInToCreate."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request.session = store(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    user = get_user(request)
    if not user.is_authenticated:
        raise SignInToCreate()
    request.creator = user.get_username()


def _check_token(request: FugataRequest) -> None:
    """Raise the refusal; that of a live token is recorded, for it tells that the token is live."""
    caller = request.caller
    if caller is None:
        raise _missing_token_error(request)
    if caller.read_only or caller.narrowed:
        record(AuditEvent.Kind.REFUSED, Actor.from_request(request))
        raise TokenMayNotCreate()


def _missing_token_error(request: FugataRequest) -> FugataError:
    """Return the error for a request without a live token; count well-formed wrong tokens."""
    token = bearer_token(request)
    if token and is_access_token(token):
        refusal = refuse_wrong_token(Actor.from_request(request), well_formed=True)
        if isinstance(refusal, RateLimited):
            return refusal
    return SignInToCreate()
