"""The tokens of the stand-in of Vault: vault/token_store.go and vault/expiration.go of OpenBao."""

import secrets
import string
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.support.servers.transit_keys import Refused

Json = dict[str, Any]

#: Vault's own lease times: 768 hours.
LONGEST = 768 * 3600
#: What the policy `default` lets a token do with itself: reading, and updating.
_READ, _UPDATED = frozenset({"auth/token/lookup-self"}), frozenset({"auth/token/renew-self"})
_LETTERS = string.ascii_letters + string.digits


@dataclass
class Token:
    """A token; times are in seconds, 0 is none. `max_ttl`: of the role that it logged in with."""

    paths: frozenset[str]
    ttl: int = LONGEST
    period: int = 0
    max_ttl: int = 0
    explicit_max_ttl: int = 0
    renewable: bool = True
    default_policy: bool = True
    type: str = "service"
    path: str = "auth/token/create-orphan"
    display_name: str = "token"
    metadata: dict[str, str] | None = None
    entity_id: str = ""
    is_root: bool = False
    renewals: int = 0
    renewed: float = 0.0
    id: str = ""
    accessor: str = field(default_factory=lambda: _random(24))
    made: float = field(default_factory=time.time)
    ends: float = 0.0

    def __post_init__(self) -> None:
        self.id = ("s." if self.type == "service" else "b.AAAAAQ") + _random(24)
        if self.type == "batch":
            self.accessor, self.renewable = "", False
        if self.is_root:
            self.path, self.display_name, self.ttl = "auth/token/root", "root", 0
        else:
            self.ttl, self.warnings = self._lifetime(self.ttl, self.made)
            self.ends = self.made + self.ttl
        self.creation_ttl = self.ttl

    def may(self, path: str, *, read: bool) -> bool:
        """Return whether its policies let it read that path, or else update it."""
        own = self.default_policy and path in (_READ if read else _UPDATED)
        return self.is_root or own or (path in self.paths and not read)

    @property
    def left(self) -> int:
        """The seconds until it ends, 0 if it does not."""
        return max(int(round(self.ends) - time.time()), 0) if self.ends else 0

    @property
    def has_ended(self) -> bool:
        """Whether its time is over."""
        return bool(self.ends) and time.time() >= self.ends

    def renew(self, increment: int) -> Json:
        """Return what renew-self answers."""
        if self.type == "batch":
            raise Refused(400, "batch tokens cannot be renewed")
        if self.is_root:
            raise Refused(400, "invalid lease ID")
        if not self.renewable:
            raise Refused(400, "lease is not renewable")
        self.renewed = time.time()
        self.ttl, warnings = self._lifetime(increment or self.ttl, self.renewed)
        self.ends = self.renewed + self.ttl
        self.renewals += 1
        return {"auth": self.auth(), "warnings": warnings or None}

    def auth(self) -> Json:
        """Return the part `auth` of what a login or a renewal answers."""
        return {
            "client_token": self.id,
            "accessor": self.accessor,
            "policies": self._policies(),
            "token_policies": self._policies(),
            "metadata": self.metadata,
            "lease_duration": self.ttl,
            "renewable": self.renewable,
            "entity_id": self.entity_id,
            "token_type": self.type,
            "orphan": True,
            "mfa_requirement": None,
            "num_uses": 0,
        }

    def looked_up(self) -> Json:
        """Return the data of what lookup-self answers."""
        data: Json = {
            "id": self.id,
            "accessor": self.accessor,
            "policies": self._policies(),
            "path": self.path,
            "meta": self.metadata,
            "display_name": self.display_name,
            "num_uses": 0,
            "orphan": True,
            "creation_time": int(self.made),
            "creation_ttl": self.creation_ttl,
            "expire_time": _written(self.ends) if self.ends else None,
            "ttl": self.left,
            "explicit_max_ttl": self.explicit_max_ttl,
            "entity_id": self.entity_id,
            "type": self.type,
        }
        if self.period:
            data["period"] = self.period
        if self.ends:
            data |= {"renewable": self.renewable, "issue_time": _written(self.made)}
        if self.renewed:
            data["last_renewal_time"] = int(self.renewed)
            data["last_renewal"] = _written(self.renewed)
        return data

    def _policies(self) -> list[str]:
        if self.is_root:
            return ["root"]
        return ["default", "tests"] if self.default_policy else ["tests"]

    def _lifetime(self, wanted: int, now: float) -> tuple[int, list[str]]:
        """Return the seconds that it is given, and warnings (framework.CalculateTTL)."""
        longest = min(filter(None, (LONGEST, self.max_ttl, self.explicit_max_ttl)))
        warnings, limit = [], longest
        if self.period:
            wanted, limit = self.period, self.explicit_max_ttl
        if self.period > longest:
            warnings, wanted = [_capped("period", wanted, longest)], longest
        left = int(self.made) + limit - int(now)
        if limit and left <= 0:
            raise Refused(500, "1 error occurred:\n\t* past the max TTL, cannot renew\n\n")
        if limit and wanted > left:
            return left, [*warnings, _capped("TTL", wanted, left)]
        return wanted, warnings


def _capped(what: str, wanted: int, longest: int) -> str:
    words = f'{what} of "{human(wanted)}" exceeded the effective max_ttl of "{human(longest)}"'
    return f"{words}; {what} value is capped accordingly"


class Tokens:
    """All tokens that were made, by their ids."""

    def __init__(self) -> None:
        self._all: dict[str, Token] = {}

    def add(self, token: Token) -> Token:
        """Keep a token that was made."""
        self._all[token.id] = token
        return token

    def find(self, name: str | None) -> Token:
        """Return the token. Raises Refused if there is none, or none any more."""
        token = self._all.get(name or "")
        if token is None or token.has_ended:
            raise Refused(403, "permission denied")
        return token

    def revoke(self, name: str) -> None:
        """End a token."""
        self._all.pop(name, None)


def paths(mount: str, keys: Iterable[str], operations: Iterable[str]) -> frozenset[str]:
    """Return the paths that a policy for these lets be updated."""
    names = list(keys)
    return frozenset(f"{mount}/{operation}/{key}" for operation in operations for key in names)


def human(seconds: int) -> str:
    """Return a time as Go writes it, without parts that are zero: 1h1s, 90m is 1h30m."""
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def whole(**parts: Any) -> Json:
    """Return an answer with all the parts that each answer has."""
    answer = {"request_id": str(uuid.uuid4()), "lease_id": "", "renewable": False}
    answer |= {"lease_duration": 0, "data": None, "wrap_info": None, "warnings": None, "auth": None}
    return answer | parts


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def _written(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
