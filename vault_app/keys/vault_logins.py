"""Where Vault's token comes from: a setting, a file that an agent keeps, or a login."""

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hvac.api.auth_methods import JWT, AppRole, Kubernetes

from vault_app.errors import KeyServiceAway, KeyUnavailable, VaultError
from vault_app.keys.vault_access import VaultAccess

#: Where a pod finds the token of its service account.
SERVICE_ACCOUNT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  # a path
#: Seconds before the end of a token that nothing will renew, from which on operators are warned.
WARNING = 3600.0


@dataclass(frozen=True, slots=True)
class Lease:
    """A token, and how long it lasts.

    `seconds`: for how long it was given, 0 if it never ends or nobody knows; `ends_at`: on the
    monotonic clock. `is_capped`: renewing it gives less time than before, so that its end is near.
    """

    token: str = field(repr=False)
    seconds: float = 0.0
    ends_at: float = float("inf")
    renewable: bool = False
    is_known: bool = True
    is_capped: bool = False
    since: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, token: str, seconds: object, renewable: object, *, before: float = 0.0) -> "Lease":
        """Return a lease from now. `before`: for how many seconds it was given the last time."""
        lasts = float(seconds) if isinstance(seconds, int | float) else 0.0
        if lasts <= 0:
            return cls(token)
        ends_at = time.monotonic() + lasts
        return cls(token, lasts, ends_at, renewable is True, is_capped=lasts < 0.9 * before)

    @property
    def age(self) -> float:
        """The seconds since it was given."""
        return time.monotonic() - self.since

    @property
    def left(self) -> float:
        """The seconds until it ends."""
        return self.ends_at - time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether half of its time is over, or it is not known how long it lasts."""
        return not self.is_known or self.left <= self.seconds / 2


class TokenSource(ABC):
    """`logs_in`: whether each token that it obtains is another. `may_change`: whether somebody else
    puts another one in its place.
    """

    logs_in: bool = False
    may_change: bool = False

    @abstractmethod
    def obtain(self, access: VaultAccess) -> Lease:
        """Return a token. Raises KeyUnavailable."""

    def fingerprint(self) -> str:
        """Return what changes with the secret that it logs in with."""
        return ""

    def warns_from(self, lease: Lease) -> float:
        """Return from how many seconds before its end operators are to be warned."""
        return WARNING


@dataclass(frozen=True, slots=True)
class FixedToken(TokenSource):
    """A token of a setting."""

    token: str = field(repr=False)

    def obtain(self, access: VaultAccess) -> Lease:
        """Return the token."""
        return Lease(self.token, is_known=False)


@dataclass(frozen=True, slots=True)
class TokenFile(TokenSource):
    """A token in a file, which an agent may replace at any time."""

    path: str
    may_change = True

    def obtain(self, access: VaultAccess) -> Lease:
        """Return the token that is in the file now. Raises KeyServiceAway."""
        return Lease(_text_of(self.path, f"{access.setting}TOKEN_FILE"), is_known=False)

    def warns_from(self, lease: Lease) -> float:
        """Return a time in which an agent should have replaced it."""
        return min(WARNING, lease.seconds / 10)


@dataclass(frozen=True, slots=True)
class Login(TokenSource):
    """A login by AppRole, Kubernetes service account or JWT, whose auth method is at `mount`.

    `role`: AppRole's role id, or a role's name. The secret id, or the JWT, is `secret`, or in the
    file `secret_file` (by default, where a pod has it), which is read at each login.
    """

    method: str
    role: str
    secret: str = field(default="", repr=False)
    secret_file: str = ""
    mount: str = ""
    logs_in = True

    def obtain(self, access: VaultAccess) -> Lease:
        """Log in. Raises KeyUnavailable."""
        setting = access.setting + _SETTINGS[self.method]
        secret = self._secret(f"{setting}_FILE")
        login = _LOGINS[self.method](access, self.role, secret, self.mount or self.method)
        try:
            auth = access.ask(login, "log in").get("auth")
        except KeyServiceAway:
            raise
        except VaultError:  # it says 400, 403 or 404 to what is wrong
            role = f"{access.setting}ROLE{'_ID' if self.method == 'approle' else ''}"
            raise KeyUnavailable(
                f"Vault refused to log in; see {role}, {_named(setting)},"
                f" {access.setting}AUTH_MOUNT and {access.setting}NAMESPACE. (After several wrong"
                " logins Vault locks the role for some minutes.)"
            ) from None
        fields: dict[str, Any] = auth if isinstance(auth, dict) else {}
        token = fields.get("client_token")
        if not isinstance(token, str) or not token:
            raise KeyUnavailable("Vault's answer to the login makes no sense")
        return Lease.of(token, fields.get("lease_duration"), fields.get("renewable"))

    def fingerprint(self) -> str:
        """Return a hash of the secret; nothing while it can't be read."""
        with suppress(KeyServiceAway):
            return hashlib.sha256(self._secret("").encode()).hexdigest()
        return ""

    def _secret(self, setting: str) -> str:
        return self.secret or _text_of(self.secret_file or SERVICE_ACCOUNT_TOKEN, setting)


#: What the setting with the secret of each method is called, behind VAULT_.
_SETTINGS = {"approle": "SECRET_ID", "kubernetes": "JWT", "jwt": "JWT"}


def _named(setting: str) -> str:
    """Return the settings that may hold the secret: a JWT is always in a file."""
    return f"{setting}_FILE" if setting.endswith("JWT") else f"{setting} or {setting}_FILE"


def _approle(access: VaultAccess, role: str, secret: str, mount: str) -> Callable[[], Any]:
    api = AppRole(adapter=access.api())
    return lambda: api.login(role, secret, use_token=False, mount_point=mount)


def _kubernetes(access: VaultAccess, role: str, secret: str, mount: str) -> Callable[[], Any]:
    api = Kubernetes(adapter=access.api())
    return lambda: api.login(role, secret, use_token=False, mount_point=mount)


def _jwt(access: VaultAccess, role: str, secret: str, mount: str) -> Callable[[], Any]:
    api = JWT(adapter=access.api())
    return lambda: api.jwt_login(role, secret, use_token=False, path=mount)


_LOGINS = {"approle": _approle, "kubernetes": _kubernetes, "jwt": _jwt}


def _text_of(path: str, setting: str) -> str:
    """Return what a file has now; it may be there in a moment. Raises KeyServiceAway."""
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise KeyServiceAway(f"{setting}: the file can't be read ({reason})") from None
    if not text or len(text.split()) > 1:
        raise KeyServiceAway(f"{setting}: the file must have one word, and nothing else")
    return text
