"""The logins of the stand-in of Vault: AppRole, JWT and Kubernetes."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Unpack

from tests.support.servers.jwts import JwtIssuer
from tests.support.servers.transit_keys import Refused
from tests.support.servers.vault import LoginTerms
from tests.support.servers.vault_tokens import LONGEST, Token, Tokens

Json = dict[str, Any]

_INVALID = "error validating token:"
_UNSIGNED = f"{_INVALID} error verifying token signature:"
_SIGNATURE = "the token signature"
_PARTS = "go-jose/go-jose: compact JWS format must have three parts"
#: Seconds that a JWT is still good for after its end.
_LEEWAY = 60


@dataclass
class Role:
    """What who logs in may do, and for how long."""

    name: str
    paths: frozenset[str]
    terms: LoginTerms
    secret_ids: set[str] = field(default_factory=set)
    jwts: set[str] = field(default_factory=set)

    def token(self, method: str) -> Token:
        """Return a new token."""
        given = self.terms
        return Token(
            self.paths,
            ttl=given.get("token_ttl", 0) or LONGEST,
            period=given.get("token_period", 0),
            max_ttl=given.get("token_max_ttl", 0),
            path=f"auth/{method}/login",
            display_name="approle" if method == "approle" else f"{method}-{self.name}",
            metadata={"role_name" if method == "approle" else "role": self.name},
            entity_id=str(uuid.uuid4()),
        )


class Logins:
    """Roles, and who may log in as them."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens, self.issuer = tokens, JwtIssuer()
        self._roles: dict[str, dict[str, Role]] = {"approle": {}, "jwt": {}, "kubernetes": {}}

    def approle(self, allowed: frozenset[str], **terms: Unpack[LoginTerms]) -> tuple[str, str]:
        """Return role id and secret id of a new role."""
        role_id, secret_id = str(uuid.uuid4()), str(uuid.uuid4())
        self._roles["approle"][role_id] = Role("tests", allowed, terms, {secret_id})
        return role_id, secret_id

    def revoke_secret_id(self, role_id: str, secret_id: str) -> None:
        """Let nobody log in with that secret id any more."""
        self._roles["approle"][role_id].secret_ids.discard(secret_id)

    def add_jwt(self, name: str, allowed: frozenset[str], **terms: Unpack[LoginTerms]) -> None:
        """Make a role that each JWT of `issuer` logs in as."""
        self._roles["jwt"][name] = Role(name, allowed, terms)

    def add_kubernetes(
        self, name: str, allowed: frozenset[str], jwt: str, **terms: Unpack[LoginTerms]
    ) -> None:
        """Make a role that the service account's token `jwt` logs in as."""
        self._roles["kubernetes"][name] = Role(name, allowed, terms, jwts={jwt})

    def login(self, method: str, fields: Json) -> Json:
        """Return what auth/{method}/login answers. Raises Refused."""
        role = getattr(self, f"_by_{method}")(self._roles[method], fields)
        token = self._tokens.add(role.token(method))
        return {"auth": token.auth(), "warnings": token.warnings or None}

    def _by_approle(self, roles: dict[str, Role], fields: Json) -> Role:
        if not fields.get("role_id"):
            raise Refused(500, "missing role_id")
        role = roles.get(fields["role_id"])
        if role is not None and not fields.get("secret_id"):
            raise Refused(400, "missing secret_id")
        if role is None or fields["secret_id"] not in role.secret_ids:
            raise Refused(400, "invalid role or secret ID")
        return role

    def _by_jwt(self, roles: dict[str, Role], fields: Json) -> Role:
        name, jwt = fields.get("role", ""), fields.get("jwt", "")
        if name not in roles:
            raise Refused(400, f'role "{name}" could not be found' if name else "missing role")
        if not jwt:
            raise Refused(400, "missing token")
        if jwt.count(".") != 2:
            raise Refused(400, f"{_UNSIGNED} {_PARTS}")
        claims = self.issuer.claims(jwt)
        if claims is None:
            raise Refused(400, f"{_UNSIGNED} no known key successfully validated {_SIGNATURE}")
        if claims["exp"] + _LEEWAY < time.time():
            raise Refused(400, f"{_INVALID} invalid expiration time (exp) claim: token is expired")
        return roles[name]

    def _by_kubernetes(self, roles: dict[str, Role], fields: Json) -> Role:
        name = fields.get("role", "")
        role = roles.get(name)
        if role is None:
            raise Refused(400, f'invalid role name "{name}"')
        if fields.get("jwt") not in role.jwts:
            raise Refused(403, "permission denied")
        return role
