"""What tests ask of a Vault, whether it is a real one (bao.py) or the stand-in (transit.py)."""

import os
import shutil
from collections.abc import Sequence
from typing import Any, Protocol, TypedDict, Unpack

BOTH = ("encrypt", "decrypt")


class Terms(TypedDict, total=False):
    """The terms of a token, named as auth/token/create names them; times are in seconds.

    `type`: "service" or "batch". `default_policy`: whether it may look itself up and renew itself.
    """

    ttl: int
    period: int
    explicit_max_ttl: int
    renewable: bool
    default_policy: bool
    type: str


class LoginTerms(TypedDict, total=False):
    """The terms of the tokens that a role gives to who logs in, in seconds."""

    token_ttl: int
    token_max_ttl: int
    token_period: int


class Vault(Protocol):
    """A Vault with the Transit engine at `transit/`, and no keys at first."""

    url: str
    root_token: str

    def add_key(self, name: str, **options: Any) -> None:
        """Make a key; options are those of transit/keys/NAME, as `type` and `derived`."""

    def delete_key(self, name: str) -> None:
        """Delete a key with all its versions."""

    def rotate(self, name: str) -> None:
        """Give a key another version."""

    def raise_minimum(self, name: str, version: int) -> None:
        """Have versions below that one open nothing (`min_decryption_version`)."""

    def trim(self, name: str, version: int) -> None:
        """Destroy the versions below that one (`min_available_version`)."""

    def new_token(
        self, keys: Sequence[str], operations: Sequence[str] = BOTH, **terms: Unpack[Terms]
    ) -> str:
        """Return an orphan token that may do `operations` with `keys`, and create none."""

    def revoke(self, token: str) -> None:
        """End a token."""

    def ends_in(self, token: str) -> int:
        """Return the seconds that a token has left, 0 if it does not end."""

    def renewals(self, token: str) -> int:
        """Return how often a token was renewed."""

    def approle(self, keys: Sequence[str], **terms: Unpack[LoginTerms]) -> tuple[str, str]:
        """Return role id and secret id of a new role that may use `keys` (auth/approle/login)."""

    def revoke_secret_id(self, role_id: str, secret_id: str) -> None:
        """Let nobody log in with that secret id any more."""

    def jwt_role(
        self, name: str, keys: Sequence[str], seconds: int = 3600, **terms: Unpack[LoginTerms]
    ) -> str:
        """Make a role that may use `keys`; return a JWT that logs in as it (auth/jwt/login).

        `seconds`: the time that the JWT has. A Vault forgives 60 seconds.
        """

    def limit(self, calls: int, seconds: int = 1, *, headers: bool = True) -> None:
        """Let through so many calls of Transit in so many seconds, and answer others with 429.

        `headers`: whether answers have Retry-After and its like; by default, a Vault's have not.
        """

    def unlimit(self) -> None:
        """Let all calls through again."""

    def seal(self) -> None:
        """Have it answer nothing but that it is sealed."""

    def unseal(self) -> None:
        """Have it answer again."""

    def count(self, operation: str) -> int:
        """Return how many calls of an operation came ("encrypt", "login", "renew-self"…).

        Those that were refused count as well.
        """

    def close(self) -> None:
        """End it."""


def bao() -> str | None:
    """Return the path of OpenBao, if FUGATA_BAO names one."""
    given = os.environ.get("FUGATA_BAO")
    found = shutil.which(given) if given else None
    assert found or not given, f"FUGATA_BAO: {given} can't be run"
    return found
