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
from typing import Any

from hvac.api.secrets_engines import Transit

from fugata_core.limits import REWRAP_THREADS
from vault_app.errors import DecryptionFailed, KeyServiceAway, KeyUnavailable
from vault_app.keys import wrapped_key
from vault_app.keys.base import KeyProvider
from vault_app.keys.retries import retrying
from vault_app.keys.transport import time_limit
from vault_app.keys.vault_access import TokenRefused, VaultAccess
from vault_app.keys.vault_logins import FixedToken, Login, TokenFile, TokenSource
from vault_app.keys.vault_tokens import VaultTokens

_CIPHERTEXT = re.compile(r"vault:v([0-9]{1,9}):([A-Za-z0-9+/]+={0,2})", re.ASCII)
#: Bytes of a wrapped data key at most: Transit adds 28 to the data key's 32.
_MAX_WRAPPED = 1024
#: Seconds for upkeep of the token after a call, where nothing else does it in time.
_UPKEEP = 1.0


class VaultTransit(KeyProvider):
    """Calls Vault for each operation. The first of `keys` (names) wraps, all of them unwrap.

    `token` or `token_file` has the token, unless `login` (the fields of vault_logins.Login) says
    how to log in. `timeout`: the seconds of a call, retries included; `name`: what the keys' ids
    begin with; `access`: the fields of VaultAccess.
    Raises ImproperlyConfigured on construction, naming the setting.
    """

    name = "vault"
    is_remote = True
    concurrency = REWRAP_THREADS

    def __init__(  # noqa: PLR0913  # options, by name
        self,
        keys: Sequence[str],
        *,
        token: str = "",
        token_file: str = "",
        login: dict[str, str] | None = None,
        name: str = "vault",
        mount: str = "transit",
        timeout: float = 5.0,
        **access: Any,
    ) -> None:
        self.name, self._mount, self.timeout = name, mount, timeout
        self._names = {f"{name}:{mount}/{key}": key for key in keys}
        self._access = VaultAccess(**access)
        self._tokens = VaultTokens(self._access, _source(token, token_file, login))

    @property
    def primary(self) -> str:
        """The id of the first key."""
        return next(iter(self._names))

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Return the data key, wrapped by Vault under the first key's newest version."""
        header = wrapped_key.header(self.primary)
        fields = {
            "name": self._names[self.primary],
            "plaintext": _b64encode(data_key),
            "associated_data": _b64encode(header + context),
        }
        answer = self._call("encrypt", lambda api: api.encrypt_data, fields)
        match = _CIPHERTEXT.fullmatch(str(answer.get("ciphertext"))[: 2 * _MAX_WRAPPED])
        if match is None or len(match[2]) > _MAX_WRAPPED:
            raise KeyUnavailable("Vault's answer makes no sense")
        return header + int(match[1]).to_bytes(4) + _b64decode(match[2])

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key, unwrapped by Vault."""
        key_id, header, rest = wrapped_key.split(wrapped)
        version = int.from_bytes(rest[:4])
        if len(rest) < 5 or version == 0:  # Vault treats 0 as 1
            raise DecryptionFailed("the wrapped data key has an unknown format")
        fields = {
            "name": self._vault_key_name(key_id),
            "ciphertext": f"vault:v{version}:{_b64encode(rest[4:])}",
            "associated_data": _b64encode(header + context),
        }
        answer = self._call("decrypt", lambda api: api.decrypt_data, fields)
        data_key = _b64decode(str(answer.get("plaintext")))
        if len(data_key) != wrapped_key.DATA_KEY_SIZE:
            raise KeyUnavailable("Vault's answer makes no sense")
        return data_key

    def maintain(self) -> None:
        """Have the token for longer, if that is due."""
        with time_limit(self.timeout):
            self._tokens.keep()

    def warning(self) -> str:
        """Return that the token ends soon, if it does, and what to do; else nothing."""
        left = self._tokens.ends_in()
        if left is None:
            return ""
        minutes, setting = int(left // 60), self._access.setting
        return f"Vault's token ({setting}TOKEN) ends in {minutes} minutes, and nothing renews it."

    def _vault_key_name(self, key_id: str) -> str:
        """Return the key's name in Vault; an unlisted key may belong to somebody else."""
        name = self._names.get(key_id)
        if name is None:
            raise KeyUnavailable(
                f"{self._access.setting}TRANSIT_KEY does not list the key, or not on this mount"
            )
        return name

    def _call(
        self, what: str, method: Callable[[Transit], Callable[..., Any]], fields: dict[str, str]
    ) -> dict[str, Any]:
        """Return the data of Vault's answer. Raises KeyUnavailable, DecryptionFailed."""
        with time_limit(self.timeout):
            data = retrying(lambda: self._authorized(what, method, fields)).get("data")
        with time_limit(_UPKEEP):
            self._tokens.keep_if_overdue()
        if not isinstance(data, dict):
            raise KeyUnavailable("Vault's answer makes no sense")
        return data

    def _authorized(
        self, what: str, method: Callable[[Transit], Callable[..., Any]], fields: dict[str, str]
    ) -> dict[str, Any]:
        """Return Vault's answer; if it refuses the token, the one to another that there is."""
        token = self._tokens.current()
        try:
            return self._ask(token, what, method, fields)
        except TokenRefused:
            if not self._tokens.replace(token):
                raise self._may_not(what, fields["name"]) from None
        try:
            return self._ask(self._tokens.current(), what, method, fields)
        except TokenRefused:
            self._tokens.note_refused_anew()
            raise self._may_not(what, fields["name"]) from None

    def _ask(
        self,
        token: str,
        what: str,
        method: Callable[[Transit], Callable[..., Any]],
        fields: dict[str, str],
    ) -> dict[str, Any]:
        call = method(Transit(adapter=self._access.api(token)))
        return self._access.ask(lambda: call(mount_point=self._mount, **fields), what)

    def _may_not(self, what: str, name: str) -> KeyUnavailable:
        """Return the error for a 403, which Vault says where the token ended, and for much else."""
        setting = self._access.setting
        kind = KeyServiceAway if self._tokens.may_change else KeyUnavailable
        return kind(
            f"Vault refused to {what}: its token ({setting}TOKEN) is wrong or has ended, may not"
            f" use the key (update on {self._mount}/{what}/{name}), or there is no such key"
            f" ({setting}TRANSIT_KEY, {setting}TRANSIT_MOUNT)"
        )


def _source(token: str, token_file: str, login: dict[str, str] | None) -> TokenSource:
    if login is not None:
        return Login(**login)
    return TokenFile(token_file) if token_file else FixedToken(token)


def _b64encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _b64decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise KeyUnavailable("Vault's answer makes no sense") from None
