"""A Vault that has a Transit engine and nothing else: real AES-GCM behind Transit's HTTP API.

Answers and refusals are worded as Vault and OpenBao word them (builtin/logical/transit and
sdk/helper/keysutil of openbao/openbao).
"""

import base64
import json
import os
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.servers.http_server import Handler, LocalServer

TOKEN = "hvs.TestTokenOfVault0001"
_NONCE = 12


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


class TransitServer(LocalServer):
    """`may_create`: whether the token's policy lets an unknown key be made by encrypting."""

    def __init__(self, *keys: str, mount: str = "transit") -> None:
        self.keys = {name: TransitKey() for name in keys}
        self.mount, self.tokens, self.may_create = mount, {TOKEN}, False
        self.calls: list[str] = []
        transit = self

        class Transit(Handler):
            def do_POST(self) -> None:  # noqa: N802  # http.server's name
                status, answer = transit.handle(self.path, dict(self.headers), self.body())
                self.answer(status, json.dumps(answer).encode(), content_type="application/json")

            do_PUT = do_POST  # noqa: N815

        super().__init__(Transit)

    def handle(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        """Return status and JSON of an answer."""
        try:
            return 200, _whole(self._data(path, headers, body))
        except Refused as refused:
            return refused.status, {"errors": refused.errors}

    def rotate(self, name: str) -> None:
        """Give a key another version: `vault write -f transit/keys/NAME/rotate`."""
        self.keys[name].versions.append(os.urandom(32))

    def _data(self, path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        if headers.get("X-Vault-Token") not in self.tokens:
            raise Refused(403, "permission denied")
        match = re.fullmatch(rf"/v1/{re.escape(self.mount)}/(encrypt|decrypt)/([-.\w]+)", path)
        if match is None:
            route = path.removeprefix("/v1/")
            raise Refused(404, f'no handler for route "{route}". route entry not found.')
        self.calls.append(match[1])
        fields = json.loads(body)
        return (self._encrypt if match[1] == "encrypt" else self._decrypt)(match[2], fields)

    def _encrypt(self, name: str, fields: dict[str, str]) -> dict[str, Any]:
        if name not in self.keys:
            if not self.may_create:  # to encrypt under an unknown key is to create it
                raise Refused(403, "1 error occurred:\n\t* permission denied\n\n")
            self.keys[name] = TransitKey()
        key = self.keys[name]
        associated_data, nonce = _associated_data(key, fields), os.urandom(_NONCE)
        sealed = AESGCM(key.versions[-1]).encrypt(
            nonce, _decoded(fields["plaintext"]), associated_data
        )
        version = len(key.versions)
        text = base64.b64encode(nonce + sealed).decode()
        return {"ciphertext": f"vault:v{version}:{text}", "key_version": version}

    def _decrypt(self, name: str, fields: dict[str, str]) -> dict[str, Any]:
        key = self.keys.get(name)
        if key is None:
            raise Refused(400, "encryption key not found")
        secret, sealed = _parts(key, fields["ciphertext"])
        try:
            plain = AESGCM(secret).decrypt(
                sealed[:_NONCE], sealed[_NONCE:], _associated_data(key, fields)
            )
        except InvalidTag:
            raise Refused(400, "cipher: message authentication failed") from None
        return {"plaintext": base64.b64encode(plain).decode()}


def _parts(key: TransitKey, ciphertext: str) -> tuple[bytes, bytes]:
    """Return the version's key, and nonce and ciphertext."""
    if not ciphertext.startswith("vault:v"):
        raise Refused(400, "invalid ciphertext: no prefix")
    version_text, colon, encoded = ciphertext.removeprefix("vault:v").partition(":")
    if not colon:
        raise Refused(400, "invalid ciphertext: wrong number of fields")
    version = max(int(version_text), 1)
    if version > len(key.versions):
        raise Refused(400, "invalid ciphertext: version is too new")
    if version < key.min_decryption_version:
        raise Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
    sealed = _decoded(encoded)
    if len(sealed) < _NONCE:
        raise Refused(400, "invalid ciphertext length")
    return key.versions[version - 1], sealed


def _associated_data(key: TransitKey, fields: dict[str, str]) -> bytes | None:
    text = fields.get("associated_data", "")
    if text and key.kind == "rsa-4096":
        raise Refused(400, f"'[0].associated_data' provided for non-AEAD cipher suite {key.kind}")
    return _decoded(text) or None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused(400, "invalid ciphertext: could not decode base64") from None


def _whole(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "request_id": str(uuid.uuid4()),
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": data,
        "wrap_info": None,
        "warnings": None,
        "auth": None,
    }
