"""The signature of a back-up: an HMAC over its manifest, under a key that AUDIT_KEY gives.

The file of it is a line: the fingerprint of the key, a space, and the HMAC, both in hexadecimal.
"""

import hashlib
import hmac
from typing import IO

from django.conf import settings

#: Bytes of a signature's file.
LENGTH = 16 + 1 + 64 + 1
_PIECE = 2**20
MISSING = "the back-up has no signature: it was cut, or changed after it was written"
_CHANGED = "the back-up was changed after it was written: its signature does not fit"
_ANOTHER_KEY = "the back-up was signed with another AUDIT_KEY, which is missing here"
#: What helps against a doubt.
REMEDIES = {
    _ANOTHER_KEY: ". Set AUDIT_KEY to that of the installation that made it, or put its file"
    " audit_key into FUGATA_HOME: it is kept with its keyring. If it is lost for good, see"
    " --without-signature in docs/backup.md"
}


def sign(manifest: IO[bytes]) -> bytes:
    """Return the signature of a manifest; it is read from its start."""
    manifest.seek(0)
    mac = hmac.new(_key(b"signature"), digestmod="sha256")
    while piece := manifest.read(_PIECE):  # of any size, before it is known whose it is
        mac.update(piece)
    return _fingerprint() + b" " + mac.hexdigest().encode() + b"\n"


def doubt(manifest: IO[bytes], signature: bytes) -> str:
    """Return what speaks against a manifest and its signature; or nothing."""
    if hmac.compare_digest(sign(manifest), signature):
        return ""
    if len(signature) != LENGTH:
        return MISSING if not signature else _CHANGED
    ours = hmac.compare_digest(_fingerprint(), signature[:16])
    return _CHANGED if ours else _ANOTHER_KEY


def _fingerprint() -> bytes:
    """Return what tells the key from others, and nothing of it."""
    return hmac.digest(_key(b"fingerprint"), b"", "sha256")[:8].hex().encode()


def _key(purpose: bytes) -> bytes:
    text = b"fugata back-up " + purpose + b"\0" + settings.AUDIT_KEY.encode()
    return hashlib.sha256(text).digest()
