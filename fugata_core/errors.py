"""The errors that clients see, each with its status and sentence (docs/api.md: "Common rules").

No sentence ever contains a value, an id or a token.
"""

import logging

from django.conf import settings

from fugata_core.tokens import cut_secrets

logger = logging.getLogger(__name__)


class FugataError(Exception):
    """An error shown to the client: `status` and one `sentence`; `title` is a page's heading."""

    status = 500
    #: What metrics count it as; None: by its status, as refused or failed.
    outcome: str | None = None
    title = "Something went wrong"
    sentence = "Internal server error"
    #: The sentence shown on a page, where the API's is too terse.
    for_people: str | None = None

    def __init__(self, sentence: str | None = None, headers: dict[str, str] | None = None) -> None:
        self.sentence = cut_secrets(sentence) if sentence else self.sentence
        self.headers = headers or {}
        super().__init__(self.sentence)


class InternalError(FugataError):
    """An unexpected error, or a value store or key provider failed (docs/api.md: 500)."""

    title = "That did not work just now"
    for_people = "Something failed on our side. Nothing was used up: try again in a minute."


class BadRequest(FugataError):
    """The input is not usable (docs/api.md: 400)."""

    status = 400
    title = "That can't be used"
    sentence = "Bad request"


class UnknownHost(BadRequest):
    """The Host header has a name that is not in ALLOWED_HOSTS."""

    title = "Not possible here"
    sentence = "Unknown host: the service does not answer to this name (see ALLOWED_HOSTS)"
    for_people = (
        "This service does not answer to the name in the address bar. If you run it, add that"
        " name to ALLOWED_HOSTS."
    )


class MalformedJson(BadRequest):
    sentence = "Malformed JSON: the body must be one JSON object in UTF-8"


class BodyCutShort(BadRequest):
    sentence = "The request body ended early"


class BodyTooSlow(FugataError):
    """The body did not arrive within its deadline (RFC 9110, section 15.5.9)."""

    status = 408
    title = "That took too long"
    sentence = "The request body did not arrive in time"


class Unauthorized(FugataError):
    """The deletion token or access token is missing or wrong (docs/api.md: 401)."""

    status = 401
    title = "Not allowed"
    sentence = "Unauthorized"
    for_people = "That deletion token does not fit this secret."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer"})


class Forbidden(FugataError):
    status = 403
    title = "Not allowed"
    sentence = "Forbidden"
    for_people = "Your account may not do that."


class NotFound(FugataError):
    status = 404
    outcome = "not_found"
    title = "Nothing here"
    sentence = "Not found"
    for_people = "There is no page at this address."


class MethodNotAllowed(FugataError):
    status = 405
    title = "Not possible here"
    sentence = "Method not allowed"
    for_people = "This address can't be opened by itself. Use the button on the page before it."

    def __init__(self, allowed: str) -> None:
        super().__init__(headers={"Allow": allowed})


class SecretTooLarge(FugataError):
    """The content is over MAX_SECRET_SIZE bytes of UTF-8 (docs/api.md: 413)."""

    status = 413
    title = "Too large"

    def __init__(self) -> None:
        super().__init__(f"Secret exceeds maximum size of {settings.MAX_SECRET_SIZE} bytes")


class BodyTooLarge(FugataError):
    """The body is over what its path can need (RFC 9110, section 15.5.14)."""

    status = 413
    title = "Too large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is too large: at most {limit} bytes are taken here")


class FormNotVerified(FugataError):
    """A form came without the page's cookie, and is too large to be shown again."""

    status = 403
    title = "Please try again"
    sentence = (
        "The form could not be verified, and your text was too long to be kept here. It is still on"
        " the page before this one: go back, copy it, allow cookies, load the page again and retry."
    )


class UnsupportedMediaType(FugataError):
    status = 415
    title = "Not possible here"
    sentence = "Unsupported media type: send the body as Content-Type: application/json"


class RateLimited(FugataError):
    """Too many requests (docs/api.md: 429)."""

    status = 429
    title = "Too many requests"
    sentence = "Rate limit exceeded"
    for_people = "Many requests came from your address in a short time. Nothing was used up."

    def __init__(self, retry_after: int) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)})


class TooManySignIns(RateLimited):
    """Too many wrong attempts to sign in, of a client or for an account (which need not exist).

    A right password is not looked at either.
    """

    title = "Too many wrong attempts"
    sentence = "Too many attempts to sign in"
    for_people = "There were many wrong attempts to sign in with this name, or from your network."


class TryAgain(FugataError):
    """It can't be done just now, and nothing was done; `retry_after` in seconds."""

    status = 503
    title = "Back in a moment"
    retry_after = 5

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": str(self.retry_after)})


class DatabaseUnavailable(TryAgain):
    """The database can't be reached (docs/api.md: 503)."""

    sentence = "Database unavailable"
    for_people = "The service is not fully up just now: try again soon."


class DiskFull(DatabaseUnavailable):
    """The disk of the database is full."""


class DatabaseRefused(InternalError):
    """The database answers, but does not do this: a table, a right or something else is missing."""


class RowLocked(TryAgain):
    """Another session has locked a row that was to be changed; that row is as it was."""

    sentence = "It is being changed by somebody else just now, try again"
    for_people = "Somebody else is changing this just now. Nothing was used up: try again soon."
    retry_after = 2


class Overloaded(TryAgain):
    """No place was free in time: backends hang, or too many large bodies wait."""

    sentence = "Service is overloaded, try again"
    for_people = "The service is very busy just now. Nothing was used up: try again soon."


def internal_error(
    what: str, reason: object, kind: type[InternalError] = InternalError
) -> InternalError:
    """Return the error for what failed on our side, and log it with a `reason` that may be logged.

    A client never hears why, so nothing else in the code raises InternalError.
    """
    logger.error("%s: %s", what, reason)
    return kind()
