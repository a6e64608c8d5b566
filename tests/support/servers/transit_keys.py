"""The keys of Transit: real AES-GCM, worded as sdk/helper/keysutil of openbao/openbao words it."""

import base64
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12
_NO_CONTEXT = (
    "missing 'context' for key derivation; the key was created using a derived key, which means"
    " additional, per-request information must be included in order to perform operations with"
    " the key"
)
_BAD_ASSOCIATED_DATA = (
    "1 error occurred:\n\t* unable to get associated_data/additional_data from factory[0]:"
    " illegal base64 data at input byte 0\n\n"
)


class Refused(Exception):
    """A status, and the words of `errors`."""

    def __init__(self, status: int, *errors: str) -> None:
        self.status, self.errors = status, list(errors)
        super().__init__(errors)


@dataclass
class TransitKey:
    """A named key with its versions, the oldest first."""

    versions: list[bytes] = field(default_factory=lambda: [os.urandom(32)])
    min_decryption_version: int = 1
    kind: str = "aes256-gcm96"
    derived: bool = False

    def encrypt(self, fields: dict[str, str]) -> dict[str, Any]:
        """Return what transit/encrypt/NAME answers."""
        if "plaintext" not in fields:
            raise Refused(400, "missing plaintext to encrypt")
        version, nonce = len(self.versions), os.urandom(_NONCE)
        associated_data = self._associated_data(fields)
        sealed = self._cipher(version, fields).encrypt(
            nonce, _plain(fields["plaintext"]), associated_data
        )
        text = base64.b64encode(nonce + sealed).decode()
        return {"ciphertext": f"vault:v{version}:{text}", "key_version": version}

    def decrypt(self, fields: dict[str, str]) -> dict[str, Any]:
        """Return what transit/decrypt/NAME answers."""
        if not fields.get("ciphertext"):
            raise Refused(400, "missing ciphertext to decrypt")
        associated_data = self._associated_data(fields)
        version, sealed = self._parts(fields["ciphertext"])
        cipher = self._cipher(version, fields)
        if len(sealed) < _NONCE:
            raise Refused(400, "invalid ciphertext length")
        try:
            plain = cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], associated_data)
        except InvalidTag:
            raise Refused(400, f"{self._package}: message authentication failed") from None
        return {"plaintext": base64.b64encode(plain).decode()}

    def trim(self, version: int) -> None:
        """Destroy the versions below that one."""
        self.min_decryption_version = max(self.min_decryption_version, version)
        self.versions[: version - 1] = [b""] * (version - 1)

    @property
    def _package(self) -> str:
        """The package of Go's that opens it, which its errors name."""
        return "chacha20poly1305" if self.kind == "chacha20-poly1305" else "cipher"

    def _cipher(self, version: int, fields: dict[str, str]) -> AESGCM | ChaCha20Poly1305:
        size = 16 if self.kind == "aes128-gcm96" else 32
        secret = self.versions[version - 1][:size]
        if self.derived:
            if not fields.get("context"):
                raise Refused(400, _NO_CONTEXT)
            context = decoded(fields["context"])
            secret = HKDF(hashes.SHA256(), size, salt=None, info=context).derive(secret)
        return ChaCha20Poly1305(secret) if self.kind == "chacha20-poly1305" else AESGCM(secret)

    def _parts(self, ciphertext: str) -> tuple[int, bytes]:
        """Return the version, and nonce and ciphertext."""
        if not ciphertext.startswith("vault:v"):
            raise Refused(400, "invalid ciphertext: no prefix")
        version_text, colon, encoded = ciphertext.removeprefix("vault:v").partition(":")
        if not colon:
            raise Refused(400, "invalid ciphertext: wrong number of fields")
        if not version_text.isascii() or not version_text.isdigit():
            raise Refused(400, "invalid ciphertext: version number could not be decoded")
        version = max(int(version_text), 1)
        if version > len(self.versions):
            raise Refused(400, "invalid ciphertext: version is too new")
        if version < self.min_decryption_version:
            raise Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
        return version, decoded(encoded)

    def _associated_data(self, fields: dict[str, str]) -> bytes | None:
        text = fields.get("associated_data", "")
        if text and self.kind.startswith("rsa-"):
            raise Refused(
                400, f"'[0].associated_data' provided for non-AEAD cipher suite {self.kind}"
            )
        try:
            return base64.b64decode(text, validate=True) or None
        except ValueError:
            raise Refused(500, _BAD_ASSOCIATED_DATA) from None


def _plain(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused(400, "illegal base64 data at input byte 0") from None


def decoded(text: str) -> bytes:
    """Return the bytes of base64. Raises Refused."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused(400, "invalid ciphertext: could not decode base64") from None
