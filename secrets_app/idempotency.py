"""Idempotency keys: a client that lost an answer asks again under the same key and gets it.

What is kept for that: a digest of the key, a MAC of the request, and the answer sealed under a key
that is derived from the idempotency key and, for an opening, from the link. Neither is kept, so
what is at rest opens nothing.
"""

import hashlib
import hmac
import logging
import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db.models.functions import Now

from fugata_core import tokens
from fugata_core.clock import expiry
from fugata_core.errors import BadRequest
from secrets_app import ids
from secrets_app.errors import DecryptFailed, KeyReused
from secrets_app.models import IdempotentResponse

logger = logging.getLogger(__name__)

_KEY = re.compile(r"[!-~]{22,255}", re.ASCII)
_NONCE = 12


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A request that may be repeated: its key, what it is for, and what else must be the same.

    `scope`: which kind of request, and on what; `request`: its body; `link_secret`: the half of
    the sealing that comes from the link.
    """

    key: str
    scope: bytes
    request: bytes = b""
    link_secret: bytes = b""

    def digest(self) -> bytes:
        """Return the digest (32 bytes) under which the answer is kept."""
        return hashlib.sha256(b"fugata idempotency\0" + self.scope + b"\0" + self._key()).digest()

    def mac(self) -> bytes:
        """Return a MAC (32 bytes) of the request: without the key nobody can try contents by it."""
        return hmac.digest(self._derive(b"request"), self.request, "sha256")

    def cipher(self) -> AESGCM:
        """Return the cipher that seals the answer."""
        return AESGCM(self._derive(b"answer"))

    def _key(self) -> bytes:
        return self.key.encode("ascii")

    def _derive(self, purpose: bytes) -> bytes:
        info = b"fugata/idempotency/" + purpose + b"/" + self.scope
        derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=info)
        return derive.derive(len(self.key).to_bytes(2) + self._key() + self.link_secret)


def checked_key(text: str | None) -> str | None:
    """Return the key of an Idempotency-Key header; None without one. Raises BadRequest.

    A short key could be guessed, and would be a second way to the answer.
    """
    if text is None or _KEY.fullmatch(text):
        return text
    raise BadRequest("Invalid Idempotency-Key: must be 22 to 255 visible ASCII characters")


def for_creation(key: str, body: bytes) -> Idempotency:
    """Return the idempotency of `POST /secrets` with that body."""
    return Idempotency(key, b"create", body)


def for_opening(key: str, share_id: str) -> Idempotency:
    """Return the idempotency of opening that share."""
    scope = b"open" + tokens.digest(share_id)
    return Idempotency(key, scope, link_secret=ids.link_secret(share_id))


def recall(once: Idempotency) -> bytes | None:
    """Return the answer that was given under the key; None where there is none, or no more.

    Raises KeyReused where the key came with another request, DecryptFailed where it was edited.
    """
    kept = IdempotentResponse.objects.filter(digest=once.digest(), expires_at__gt=Now()).first()
    if kept is None:
        return None
    if not hmac.compare_digest(bytes(kept.request_mac), once.mac()):
        raise KeyReused()
    sealed = bytes(kept.sealed)
    try:
        return once.cipher().decrypt(sealed[:_NONCE], sealed[_NONCE:], once.digest())
    except InvalidTag:
        logger.error("a kept answer does not open")
        raise DecryptFailed() from None


def keep(once: Idempotency, answer: bytes, share_expires_at: datetime) -> None:
    """Keep `answer` for the grace time, or until its share expires if that comes first.

    Call it in the transaction that the answer tells of. Raises IntegrityError where the same key
    is answered at the same time.
    """
    ends = expiry(timedelta(seconds=settings.IDEMPOTENCY_GRACE_SECONDS))
    nonce = os.urandom(_NONCE)
    IdempotentResponse.objects.filter(digest=once.digest(), expires_at__lte=Now()).delete()
    IdempotentResponse.objects.create(
        digest=once.digest(),
        request_mac=once.mac(),
        sealed=nonce + once.cipher().encrypt(nonce, answer, once.digest()),
        expires_at=min(ends, share_expires_at),
    )


def forget(once: Idempotency) -> bool:
    """Destroy a kept answer; returns whether it was there."""
    kept = IdempotentResponse.objects.filter(digest=once.digest(), expires_at__gt=Now())
    return bool(kept.delete()[0])


def purge_kept_answers() -> int:
    """Destroy the answers whose grace time is over; returns how many."""
    return IdempotentResponse.objects.filter(expires_at__lte=Now()).delete()[0]
