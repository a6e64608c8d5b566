"""HashiCorp Vault's Transit engine, or OpenBao's, which has the same API: keys never leave it.

A key's id is `vault:{mount}/{name}`. The provider's part of a wrapped key: the version of the
Transit key in 4 bytes | what Transit made of the data key, as bytes (Transit writes
`vault:v1:base64`, and base64 can be written in several ways). Header and context are its associated
data, so the key must be of an AEAD type (aes256-gcm96, Transit's default, is one).
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hvac
import requests
from django.core.exceptions import ImproperlyConfigured
from hvac import exceptions as hvac_errors
from requests.adapters import HTTPAdapter
from urllib3.util import Timeout

from fugata_core.limits import REWRAP_THREADS
from vault_app.errors import DecryptionFailed, KeyUnavailable, VaultError
from vault_app.keys import wrapped_key
from vault_app.keys.base import KeyProvider

_CIPHERTEXT = re.compile(r"vault:v([0-9]{1,9}):([A-Za-z0-9+/]+={0,2})", re.ASCII)
#: Transit's errors (400) for bytes that it did not make, or made with other associated data.
_DECRYPTION_ERRORS = (
    "invalid ciphertext",
    "message authentication failed",
    "illegal base64",
    "invalid length",
)
#: Its errors (400) for an unavailable key, with our message for each.
_UNAVAILABLE_KEY_ERRORS = {
    "encryption key not found": "Vault has no such key; see VAULT_TRANSIT_KEY",
    "disallowed by policy": "Vault no longer opens that version of the key",
    "version is too new": "Vault does not know that version of the key",
    "non-AEAD": "VAULT_TRANSIT_KEY: the key must be of an AEAD type such as aes256-gcm96",
}
_REFUSALS: dict[type[hvac_errors.VaultError], str] = {
    hvac_errors.Forbidden: (
        "Vault refused: VAULT_TOKEN is wrong or expired, may not use the key, or there is none"
    ),
    hvac_errors.InvalidPath: "Vault has no Transit engine there; see VAULT_TRANSIT_MOUNT",
    hvac_errors.RateLimitExceeded: "Vault is asked too often",
    hvac_errors.VaultDown: "Vault is sealed or down",
}


@dataclass(frozen=True, slots=True)
class VaultAccess:
    """How to reach Vault; `ca`: the path of a CA bundle to use instead of the system's.

    `timeout`: seconds that a call may take; `connections`: how many threads may call at once.
    """

    address: str
    token: str = field(repr=False)
    token_file: str = ""
    mount: str = "transit"
    namespace: str = ""
    ca: str = ""
    timeout: float = 5.0
    connections: int = 16


class VaultTransit(KeyProvider):
    """Calls Vault for each operation. The first of `keys` (names) wraps, all of them unwrap.

    `access`: the fields of VaultAccess. Raises ImproperlyConfigured on construction, naming
    the setting.
    """

    name = "vault"
    concurrency = REWRAP_THREADS

    def __init__(self, keys: Sequence[str], **access: Any) -> None:
        self._access = VaultAccess(**access)
        self._names = {f"{self.name}:{self._access.mount}/{name}": name for name in keys}
        self._client = _client(self._access)

    @property
    def primary(self) -> str:
        """The id of the first key."""
        return next(iter(self._names))

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Return the data key, wrapped by Vault under the first key's newest version."""
        header = wrapped_key.header(self.primary)
        answer = self._call(
            self._client.secrets.transit.encrypt_data,
            name=self._names[self.primary],
            plaintext=_b64encode(data_key),
            associated_data=_b64encode(header + context),
        )
        match = _CIPHERTEXT.fullmatch(str(answer.get("ciphertext")))
        if match is None:
            raise KeyUnavailable("Vault's answer makes no sense")
        return header + int(match[1]).to_bytes(4) + _b64decode(match[2])

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key, unwrapped by Vault."""
        key_id, header, rest = wrapped_key.split(wrapped)
        version = int.from_bytes(rest[:4])
        if len(rest) < 5 or version == 0:  # Vault treats 0 as 1
            raise DecryptionFailed("the wrapped data key has an unknown format")
        answer = self._call(
            self._client.secrets.transit.decrypt_data,
            name=self._vault_key_name(key_id),
            ciphertext=f"vault:v{version}:{_b64encode(rest[4:])}",
            associated_data=_b64encode(header + context),
        )
        return _b64decode(str(answer.get("plaintext")))

    def check(self) -> None:
        """Raise KeyUnavailable unless Vault can wrap right now."""
        self.wrap(bytes(32), b"check")

    def _vault_key_name(self, key_id: str) -> str:
        """Return the key's name in Vault; an unlisted key may belong to somebody else."""
        name = self._names.get(key_id)
        if name is None:
            raise KeyUnavailable("VAULT_TRANSIT_KEY does not list the key, or not on this mount")
        return name

    def _call(self, method: Callable[..., Any], **fields: str) -> dict[str, Any]:
        """Return the data of Vault's answer. Raises KeyUnavailable, DecryptionFailed."""
        try:
            answer = self._with_retry(lambda: method(mount_point=self._access.mount, **fields))
        except hvac_errors.VaultError as error:
            raise _to_vault_error(error) from None
        except (requests.RequestException, OSError):
            raise KeyUnavailable("Vault can't be reached; see VAULT_ADDR") from None
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            raise KeyUnavailable("Vault's answer makes no sense; is VAULT_ADDR its address?")
        return data

    def _with_retry(self, call: Callable[[], Any]) -> Any:
        """Call, and retry once if the connection broke or the token was renewed."""
        try:
            return call()
        except requests.Timeout:
            raise
        except requests.ConnectionError:
            return call()
        except hvac_errors.Forbidden:
            if not self._reload_token():
                raise
            return call()

    def _reload_token(self) -> bool:
        """Reload the token file, which an agent renews; return whether the token changed."""
        if not self._access.token_file:
            return False
        token = Path(self._access.token_file).read_text().strip()
        if token in ("", self._client.token):
            return False
        self._client.token = token
        return True


def _client(access: VaultAccess) -> hvac.Client:
    if access.ca and not Path(access.ca).is_file():
        raise ImproperlyConfigured("VAULT_CACERT: must be the path of a readable file.")
    session = requests.Session()
    session.verify = access.ca or True
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=access.connections))
    return hvac.Client(
        url=access.address,
        token=access.token,
        verify=access.ca or True,
        timeout=Timeout(total=access.timeout),
        namespace=access.namespace or None,
        # A redirect would send the token to whatever host it names.
        allow_redirects=False,
        session=session,
    )


def _to_vault_error(error: hvac_errors.VaultError) -> VaultError:
    """Return the VaultError to raise; Vault's text is never repeated: it may hold what was sent."""
    if not isinstance(error, hvac_errors.InvalidRequest):
        return KeyUnavailable(_REFUSALS.get(type(error), "Vault failed"))
    message = " ".join(map(str, error.errors or ()))
    for part, sentence in _UNAVAILABLE_KEY_ERRORS.items():
        if part in message:
            return KeyUnavailable(sentence)
    if any(part in message for part in _DECRYPTION_ERRORS):
        return DecryptionFailed("the wrapped data key does not open")
    return KeyUnavailable("Vault did not understand the request")


def _b64encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _b64decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise KeyUnavailable("Vault's answer makes no sense") from None
