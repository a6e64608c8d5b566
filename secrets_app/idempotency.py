"""Idempotency keys: a client that lost a response retries under the same key and gets it.

Stored for that: a digest of the key, a MAC of the request, and the answer sealed under a key that
is derived from the idempotency key and, for an opening, from the link. Neither is stored, so the
data at rest cannot be decrypted on its own.
"""

import hashlib
import hmac
import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now

from fugata_core import tokens
from fugata_core.clock import expiry
from fugata_core.errors import BadRequest, internal_error
from fugata_core.limits import ROW
from fugata_core.row_locks import KeyedBulkhead, row_place
from secrets_app import ids
from secrets_app.errors import DecryptFailed, KeyReused
from secrets_app.models import IdempotentResponse, Share

KEY_PATTERN = r"[!-~]{22,255}"
KEY_RULE = "Invalid Idempotency-Key: must be 22 to 255 visible ASCII characters"
_KEY = re.compile(KEY_PATTERN, re.ASCII)
_NONCE_SIZE = 12
_ANSWERS = KeyedBulkhead(ROW)


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request that may be retried: its key, its scope, and what else must be the same.

    `scope`: the kind of request and its target; `body`: the request's; `link_secret`: the part of
    the sealing key that comes from the link.
    """

    key: str
    scope: bytes
    body: bytes = b""
    link_secret: bytes = b""

    def digest(self) -> bytes:
        """Return the digest (32 bytes) under which the answer is kept."""
        return hashlib.sha256(b"fugata idempotency\0" + self.scope + b"\0" + self._key()).digest()

    def mac(self) -> bytes:
        """Return a MAC (32 bytes) of the request: without the key, guesses can't be tested."""
        return hmac.digest(self._derive(b"request"), self.body, "sha256")

    def cipher(self) -> AESGCM:
        """Return the cipher that seals the answer."""
        return AESGCM(self._derive(b"answer"))

    def _key(self) -> bytes:
        return self.key.encode("ascii")

    def _derive(self, purpose: bytes) -> bytes:
        info = b"fugata/idempotency/" + purpose + b"/" + self.scope
        hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=info)
        return hkdf.derive(len(self.key).to_bytes(2) + self._key() + self.link_secret)


def validate_key(text: str | None) -> str | None:
    """Return the key in an Idempotency-Key header, or None without one. Raises BadRequest.

    A short key could be guessed, which would be a second way to get the answer.
    """
    if text is None or _KEY.fullmatch(text):
        return text
    raise BadRequest(KEY_RULE)


def for_creation(key: str, body: bytes) -> IdempotentRequest:
    """Return the idempotent request for `POST /secrets` with that body."""
    return IdempotentRequest(key, b"create", body)


def for_opening(key: str, share_id: str) -> IdempotentRequest:
    """Return the idempotent request for opening that share."""
    scope = b"open" + tokens.digest(share_id)
    return IdempotentRequest(key, scope, link_secret=ids.link_secret(share_id))


def stored_answer(idempotent: IdempotentRequest) -> bytes | None:
    """Return the answer given under the key, or None if there is none or it has expired.

    Raises KeyReused if the key came with another request, DecryptFailed if the answer was altered.
    """
    kept = _live(idempotent).first()
    if kept is None:
        return None
    if not hmac.compare_digest(bytes(kept.request_mac), idempotent.mac()):
        raise KeyReused()
    sealed = bytes(kept.sealed)
    try:
        return idempotent.cipher().decrypt(
            sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], idempotent.digest()
        )
    except InvalidTag as error:
        reason = type(error).__name__
        raise internal_error("a kept answer does not open", reason, DecryptFailed) from None


def store_answer(
    idempotent: IdempotentRequest,
    answer: bytes,
    share_expires_at: datetime,
    opened: Share | None = None,
) -> None:
    """Keep `answer` for the grace period, or until its share expires if that comes first.

    Call it in the transaction that the answer reports on. `opened`: the share whose content it
    contains: the answer counts for the quotas in its stead. Raises IntegrityError if a concurrent
    request uses the same key, RowLocked.
    """
    grace_ends_at = expiry(timedelta(seconds=settings.IDEMPOTENCY_GRACE_SECONDS))
    nonce, digest = os.urandom(_NONCE_SIZE), idempotent.digest()
    sealed = nonce + idempotent.cipher().encrypt(nonce, answer, digest)
    with row_place(_ANSWERS, digest):
        IdempotentResponse.objects.filter(digest=digest, expires_at__lte=Now()).delete()
        IdempotentResponse.objects.create(
            digest=digest,
            request_mac=idempotent.mac(),
            sealed=sealed,
            expires_at=min(grace_ends_at, share_expires_at),
            size=len(sealed) if opened else None,
            client=opened.client if opened else None,
        )


def delete_answer(idempotent: IdempotentRequest) -> bool:
    """Destroy a kept answer and return whether there was one. Raises RowLocked."""
    with row_place(_ANSWERS, idempotent.digest()):
        return bool(_live(idempotent).delete()[0])


def _live(idempotent: IdempotentRequest) -> QuerySet[IdempotentResponse]:
    return IdempotentResponse.objects.filter(digest=idempotent.digest(), expires_at__gt=Now())


def answers_with_content() -> QuerySet[IdempotentResponse]:
    """Return the answers that contain a secret: it is stored until they expire."""
    return IdempotentResponse.objects.filter(expires_at__gt=Now()).exclude(size=None)


def purge_answers() -> int:
    """Destroy the answers whose grace period is over and return how many."""
    return IdempotentResponse.objects.filter(expires_at__lte=Now()).delete()[0]
