"""Errors specific to shares, besides those common to the whole service."""

from fugata_core.errors import Forbidden, FugataError, InternalError, NotFound


class EncryptFailed(InternalError):
    """The key provider or the value store failed while creating a share (docs/api.md: 500)."""

    sentence = "Failed to encrypt secret"
    for_people = "The secret could not be sealed just now, and nothing was kept. Try again."


class DecryptFailed(InternalError):
    """The key provider or the value store failed while opening a share; nothing was consumed."""

    sentence = "Failed to decrypt secret"
    for_people = (
        "The secret could not be opened just now. It was not used up: try again in a minute."
    )


class ShareNotFound(NotFound):
    """Unknown, expired, deleted or already opened, indistinguishably (docs/api.md: 404)."""

    sentence = "Secret not found"


class LostClaim(ShareNotFound):
    """Another caller opened or deleted it while this one was decrypting (same response)."""

    outcome = "lost_claim"


class KeyReused(FugataError):
    """The Idempotency-Key was used for another request (draft-ietf-httpapi-idempotency-key)."""

    status = 422
    title = "That can't be used"
    sentence = "Idempotency-Key was used for another request: use a new key"


class ClientQuotaReached(FugataError):
    """QUOTA_SHARES_PER_CLIENT or QUOTA_BYTES_PER_CLIENT is reached."""

    status = 429
    title = "That is all for now"

    def __init__(self, limit: str, retry_after: int) -> None:
        """`limit`: what may be kept; `retry_after`: seconds until the first share expires."""
        self.for_people = (
            f"From your address {limit} may be kept here. Nothing was kept of this one: delete"
            " one that you made, or wait until one is opened or expires."
        )
        super().__init__(
            f"Quota exceeded: a client may keep {limit}", {"Retry-After": str(retry_after)}
        )


class InstallationFull(FugataError):
    """QUOTA_SHARES_TOTAL or QUOTA_BYTES_TOTAL is reached (RFC 4918, section 11.5)."""

    status = 507
    title = "No room just now"
    sentence = "Quota exceeded: this installation has no room for another secret, try again later"
    for_people = (
        "This service keeps as many secrets as it may. Nothing was kept of yours: try again later."
    )

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "60"})


class CreationNotAllowed(Forbidden):
    """The client is outside CREATE_ALLOWED_FROM."""

    sentence = "Forbidden: secrets can be created from certain networks only, not from yours"
    for_people = (
        "New secrets can be made here from certain networks only, and yours is not one of them."
        " Links that were sent to you can be opened from anywhere."
    )


class SignInToCreate(FugataError):
    """CREATE_REQUIRES_LOGIN is set (RFC 6750, section 3)."""

    status = 401
    title = "Please sign in"
    sentence = (
        "Unauthorized: creating a secret needs an access token, as Authorization: Bearer fgt_…;"
        " the operators of this service make them"
    )
    for_people = (
        "New secrets can be made here by people who are signed in."
        " Links that were sent to you can be opened without."
    )

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer"})


class TokenMayNotCreate(Forbidden):
    """CREATE_REQUIRES_LOGIN is set, and the token has fewer rights than its user."""

    sentence = (
        "Forbidden: this access token is for reading or for some repositories only,"
        " and can't create secrets; one with all rights of its user can"
    )
