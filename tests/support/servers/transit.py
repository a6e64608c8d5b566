"""A stand-in of Vault: its Transit engine, its tokens, three logins and a rate limit.

Answers and refusals are worded as OpenBao words them; tests/vault_app/test_vaults.py compares them
with a real one.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from tests.support.servers.http_server import Handler, LocalServer
from tests.support.servers.transit_keys import Refused, TransitKey
from tests.support.servers.vault import BOTH, LoginTerms, Terms
from tests.support.servers.vault_logins import Logins
from tests.support.servers.vault_quota import Quota
from tests.support.servers.vault_tokens import Token, Tokens, paths, whole

__all__ = ["TOKEN", "TransitKey", "TransitServer"]

Json = dict[str, Any]

#: Known to every stand-in: may do everything with every key, and makes one only if `may_create`.
TOKEN = "hvs.TestTokenOfVault0001"
_DENIED = "1 error occurred:\n\t* permission denied\n\n"


class TransitServer(LocalServer):
    """See `Vault`. `may_create`: whether a policy lets an unknown key be made by encrypting.

    `calls`: the operations of those calls of Transit that had a token.
    """

    def __init__(self, *keys: str, mount: str = "transit") -> None:
        self.keys = {name: TransitKey() for name in keys}
        self.mount, self.tokens, self.may_create = mount, {TOKEN}, False
        self.calls: list[str] = []
        self._asked = Counter[str]()
        self._tokens = Tokens()
        self._logins = Logins(self._tokens)
        self.root_token = self._tokens.add(Token(frozenset(), is_root=True)).id
        self._quota: Quota | None = None
        self._is_sealed = False
        transit = self

        class Transit(Handler):
            def do_POST(self) -> None:  # noqa: N802  # http.server's name
                request = Request(self.command, self.path, dict(self.headers), self.body())
                status, answer, more = transit.handle(request)
                more |= {"content_type": "application/json", "cache_control": "no-store"}
                self.answer(status, json.dumps(answer).encode(), **more)

            do_GET = do_PUT = do_POST  # noqa: N815

        super().__init__(Transit)

    # --- Keys ---

    def add_key(self, name: str, **options: Any) -> None:
        """Make a key; options are those of transit/keys/NAME, as `type` and `derived`."""
        kind = options.get("type", "aes256-gcm96")
        self.keys[name] = TransitKey(kind=kind, derived=options.get("derived", False))

    def delete_key(self, name: str) -> None:
        """Delete a key with all its versions."""
        del self.keys[name]

    def rotate(self, name: str) -> None:
        """Give a key another version: `vault write -f transit/keys/NAME/rotate`."""
        self.keys[name].versions += TransitKey().versions

    def raise_minimum(self, name: str, version: int) -> None:
        """Have versions below that one open nothing."""
        assert self.keys[name].versions[version - 1], "there is no such version"
        self.keys[name].min_decryption_version = version

    def trim(self, name: str, version: int) -> None:
        """Destroy the versions below that one."""
        self.keys[name].trim(version)

    # --- Tokens and logins ---

    def new_token(
        self, keys: Sequence[str], operations: Sequence[str] = BOTH, **terms: Unpack[Terms]
    ) -> str:
        """Return an orphan token that may do `operations` with `keys`, and create none."""
        return self._tokens.add(Token(paths(self.mount, keys, operations), **terms)).id

    def revoke(self, token: str) -> None:
        """End a token."""
        self._tokens.revoke(token)

    def ends_in(self, token: str) -> int:
        """Return the seconds that a token has left, 0 if it does not end."""
        return self._tokens.find(token).left

    def renewals(self, token: str) -> int:
        """Return how often a token was renewed."""
        return self._tokens.find(token).renewals

    def approle(self, keys: Sequence[str], **terms: Unpack[LoginTerms]) -> tuple[str, str]:
        """Return role id and secret id of a new role that may use `keys`."""
        return self._logins.approle(paths(self.mount, keys, BOTH), **terms)

    def revoke_secret_id(self, role_id: str, secret_id: str) -> None:
        """Let nobody log in with that secret id any more."""
        self._logins.revoke_secret_id(role_id, secret_id)

    def jwt_role(
        self, name: str, keys: Sequence[str], seconds: int = 3600, **terms: Unpack[LoginTerms]
    ) -> str:
        """Make a role that may use `keys`; return a JWT that logs in as it."""
        self._logins.add_jwt(name, paths(self.mount, keys, BOTH), **terms)
        return self._logins.issuer.sign(name, seconds)

    def kubernetes_role(
        self, name: str, keys: Sequence[str], jwt: str, **terms: Unpack[LoginTerms]
    ) -> None:
        """Make a role that may use `keys`, and that the token `jwt` logs in as."""
        self._logins.add_kubernetes(name, paths(self.mount, keys, BOTH), jwt, **terms)

    # --- What goes wrong ---

    def limit(self, calls: int, seconds: int = 1, *, headers: bool = True) -> None:
        """Let through so many calls of Transit in so many seconds, and answer others with 429."""
        self._quota = Quota(calls, seconds, headers)

    def unlimit(self) -> None:
        """Let all calls through again."""
        self._quota = None

    def seal(self) -> None:
        """Have it answer nothing but that it is sealed."""
        self._is_sealed = True

    def unseal(self) -> None:
        """Have it answer again."""
        self._is_sealed = False

    def count(self, operation: str) -> int:
        """Return how many calls of an operation came, also of those that were refused."""
        return self._asked[operation]

    # --- How it answers ---

    def handle(self, request: "Request") -> tuple[int, Any, dict[str, str]]:
        """Return status, JSON and headers of an answer."""
        headers: dict[str, str] = {}
        try:
            if self._is_sealed:
                raise Refused(503, "Vault is sealed")
            fields = request.fields()
            self._asked.update(set(request.route.split("/")))
            headers |= self._passed(request.route)
            if request.headers.get("X-Vault-Namespace"):
                raise Refused(404, "namespace not found")
            return 200, self._answer(request, fields), headers
        except Limited as limited:
            return 429, {"errors": limited.errors}, limited.headers
        except Refused as refused:
            return refused.status, {"errors": refused.errors}, headers

    def _passed(self, route: str) -> dict[str, str]:
        """Return the headers of an answer. Raises Limited."""
        quota = self._quota
        if quota is None or not route.startswith(f"{self.mount}/"):
            return {}
        may, headers = quota.take()
        if not may:
            raise Limited(route, headers)
        return headers

    def _answer(self, request: "Request", fields: Json) -> Json:
        route = request.route
        if match := re.fullmatch(r"auth/(approle|jwt|kubernetes)/login", route):
            return whole(**self._logins.login(match[1], fields))
        token = self._token(request)
        if token and route == "auth/token/lookup-self":
            return whole(data=token.looked_up())
        if token and route == "auth/token/renew-self":
            return whole(**token.renew(_seconds(fields.get("increment", 0))))
        may_create = self.may_create or (token is not None and token.is_root)
        return whole(data=self._transit(route, fields, may_create))

    def _token(self, request: "Request") -> Token | None:
        """Return the token of a call, None if it is one of `tokens`. Raises Refused."""
        reads = request.method == "GET"
        if request.token in self.tokens and not reads:
            return None
        token = self._tokens.find(request.token)
        if not token.may(request.route, read=reads):
            raise Refused(403, _DENIED)
        return token

    def _transit(self, route: str, fields: Json, may_create: bool) -> Json:
        match = re.fullmatch(rf"{re.escape(self.mount)}/(encrypt|decrypt)/([-.\w]+)", route)
        if match is None and route.startswith(f"{self.mount}/"):
            raise Refused(404, "1 error occurred:\n\t* unsupported path\n\n")
        if match is None:
            raise Refused(404, f'no handler for route "{route}". route entry not found.')
        self.calls.append(match[1])
        if match[1] == "decrypt":
            return self._key(match[2]).decrypt(fields)
        if match[2] not in self.keys:
            if not may_create:  # to encrypt under an unknown key is to create it
                raise Refused(403, _DENIED)
            self.keys[match[2]] = TransitKey()
        return self._key(match[2]).encrypt(fields)

    def _key(self, name: str) -> TransitKey:
        key = self.keys.get(name)
        if key is None:
            raise Refused(400, "encryption key not found")
        return key


@dataclass(frozen=True)
class Request:
    """What came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def route(self) -> str:
        """The path, without the version of the API."""
        return self.path.removeprefix("/v1/")

    @property
    def token(self) -> str | None:
        """The token that came with it."""
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return self.headers.get("X-Vault-Token", bearer)

    def fields(self) -> Json:
        """Return what its JSON has. Raises Refused."""
        try:
            fields: Json = json.loads(self.body or b"{}")
        except ValueError:
            raise Refused(400, "failed to decode JSON input: unexpected EOF") from None
        return fields


class Limited(Refused):
    """A call that came too soon, and the headers of its answer."""

    def __init__(self, route: str, headers: dict[str, str]) -> None:
        self.headers = headers
        super().__init__(429, f'request path "{route}": rate limit quota exceeded')


def _seconds(increment: int | str) -> int:
    """Return the seconds of 60, "60" or "60s"."""
    return int(str(increment).removesuffix("s") or 0)
