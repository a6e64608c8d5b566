"""JSON Web Tokens of an issuer of the tests' own (RFC 7519, ES256)."""

import base64
import json
import time
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

ISSUER, AUDIENCE = "https://issuer.test", "vault"
_SIZE = 32


class JwtIssuer:
    """Signs and checks tokens with a key of its own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_key(self) -> str:
        """The public key in PEM."""
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(encoding, form).decode()

    def sign(self, subject: str, seconds: int = 3600) -> str:
        """Return a token of that subject which ends in so many seconds."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + seconds}
        signed = f"{_encoded({'alg': 'ES256', 'typ': 'JWT'})}.{_encoded(claims)}"
        r, s = utils.decode_dss_signature(
            self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        )
        return f"{signed}.{_base64(r.to_bytes(_SIZE) + s.to_bytes(_SIZE))}"

    def claims(self, token: str) -> dict[str, Any] | None:
        """Return what a token claims, or None if it is none of this issuer's."""
        try:
            signed, signature = token.rsplit(".", 1)
            raw = _decoded(signature)
            pair = utils.encode_dss_signature(
                int.from_bytes(raw[:_SIZE]), int.from_bytes(raw[_SIZE:])
            )
            self._key.public_key().verify(pair, signed.encode(), ec.ECDSA(hashes.SHA256()))
            claims: dict[str, Any] = json.loads(_decoded(signed.split(".")[1]))
        except (ValueError, InvalidSignature):
            return None
        return claims


def _encoded(content: dict[str, Any]) -> str:
    return _base64(json.dumps(content).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
