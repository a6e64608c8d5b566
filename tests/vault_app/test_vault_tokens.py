"""Tokens and logins of the stand-in of Vault: the same on both, where FUGATA_BAO names one."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.clients.vaults import (
    DENIED,
    KINDS,
    PLAIN,
    Refusal,
    ask,
    encrypt,
    look,
    refusal,
    vault_of,
)
from tests.support.servers.jwts import JwtIssuer
from tests.support.servers.parts import wait_until
from tests.support.servers.transit import TransitServer
from tests.support.servers.vault import Vault

pytestmark = pytest.mark.processes

WRONG: Refusal = (403, ["permission denied"])
#: 768 hours, what a Vault gives at most unless told otherwise.
LONGEST = 2_764_800
#: What differs from token to token.
_OWN = {"accessor", "creation_time", "entity_id", "expire_time", "id", "issue_time"}
_OWN |= {"last_renewal", "last_renewal_time", "policies", "ttl"}
_PLAIN = {
    "creation_ttl": LONGEST,
    "display_name": "token",
    "explicit_max_ttl": 0,
    "meta": None,
    "num_uses": 0,
    "orphan": True,
    "path": "auth/token/create-orphan",
    "renewable": True,
    "type": "service",
}


@pytest.fixture(params=KINDS)
def vault(request: pytest.FixtureRequest) -> Iterator[Vault]:
    """A Vault of each kind, with the key `one`."""
    with vault_of(request.param) as server:
        server.add_key("one")
        yield server


def looked_up(vault: Vault, token: str) -> dict[str, Any]:
    data = look(vault, token).json()["data"]
    return {name: value for name, value in data.items() if name not in _OWN}


def renew(vault: Vault, token: str, **fields: Any) -> httpx.Response:
    return ask(vault, token, "auth/token/renew-self", **fields)


def renewed(vault: Vault, token: str, **fields: Any) -> tuple[int, list[str]]:
    """Return the seconds that it is given, and the warnings."""
    answer = renew(vault, token, **fields).json()
    assert answer["auth"]["client_token"] == token
    return answer["auth"]["lease_duration"], answer["warnings"] or []


def login(vault: Vault, method: str, **fields: str) -> httpx.Response:
    return ask(vault, "", f"auth/{method}/login", **fields)


def test_tokens_that_are_looked_up(vault: Vault) -> None:
    assert looked_up(vault, vault.new_token(["one"])) == _PLAIN
    for terms, more in (
        ({"period": 100}, {"creation_ttl": 100, "period": 100}),
        ({"ttl": 50, "renewable": False}, {"creation_ttl": 50, "renewable": False}),
        ({"ttl": 50, "explicit_max_ttl": 60}, {"creation_ttl": 50, "explicit_max_ttl": 60}),
        ({"ttl": 70, "explicit_max_ttl": 60}, {"creation_ttl": 60, "explicit_max_ttl": 60}),
        ({"ttl": 50, "type": "batch"}, {"creation_ttl": 50, "type": "batch", "renewable": False}),
    ):
        token = vault.new_token(["one"], **terms)
        assert looked_up(vault, token) == _PLAIN | more
        encrypt(vault, token)


def test_the_root_token(vault: Vault) -> None:
    own = {"creation_ttl": 0, "display_name": "root", "path": "auth/token/root"}
    expected = {name: value for name, value in (_PLAIN | own).items() if name != "renewable"}
    assert looked_up(vault, vault.root_token) == expected
    assert look(vault, vault.root_token).json()["data"]["ttl"] == 0
    assert refusal(renew(vault, vault.root_token)) == (400, ["invalid lease ID"])


def test_renewals(vault: Vault) -> None:
    token = vault.new_token(["one"], ttl=100)
    assert renewed(vault, token, increment="200s") == (200, [])
    assert 190 < vault.ends_in(token) <= 200
    assert renewed(vault, token) == (200, []), "what it was given the last time"
    assert renewed(vault, token, increment=300) == (300, [])
    assert vault.renewals(token) == 3
    data = look(vault, token).json()["data"]
    assert data["creation_ttl"] == 100
    assert data["last_renewal_time"] >= data["creation_time"]


def test_a_periodic_token(vault: Vault) -> None:
    token = vault.new_token(["one"], period=100)
    assert renewed(vault, token) == (100, [])
    assert renewed(vault, token, increment=5000) == (100, [])


def test_a_token_near_its_end(vault: Vault) -> None:
    """It is given what is left, with a warning; a period is cut as well."""
    token = vault.new_token(["one"], ttl=60, explicit_max_ttl=3600)
    given, warnings = renewed(vault, token, increment=7200)
    assert 3500 < given <= 3600
    assert warnings[0].startswith('TTL of "2h" exceeded the effective max_ttl of "')
    assert warnings[0].endswith('"; TTL value is capped accordingly')
    token = vault.new_token(["one"], period=7200, explicit_max_ttl=3600)
    given, warnings = renewed(vault, token)
    assert 3500 < given <= 3600
    words = 'period of "2h" exceeded the effective max_ttl of "1h"; period value is capped'
    assert warnings[0] == f"{words} accordingly"


def test_tokens_that_can_not_be_renewed(vault: Vault) -> None:
    denied = (403, [DENIED])
    token = vault.new_token(["one"], ttl=100, renewable=False)
    assert refusal(renew(vault, token)) == (400, ["lease is not renewable"])
    token = vault.new_token(["one"], ttl=100, type="batch")
    assert refusal(renew(vault, token)) == (400, ["batch tokens cannot be renewed"])
    token = vault.new_token(["one"], ttl=100, default_policy=False)
    assert refusal(renew(vault, token)) == refusal(look(vault, token)) == denied
    encrypt(vault, token)
    token = vault.new_token(["one"])
    assert refusal(ask(vault, token, "auth/token/lookup-self")) == denied, "it is read, not updated"
    assert refusal(look(vault, token, "auth/token/renew-self")) == denied


def test_tokens_that_end(vault: Vault) -> None:
    def is_gone(token: str) -> bool:
        return look(vault, token).status_code == 403

    ends, revoked = vault.new_token(["one"], ttl=1), vault.new_token(["one"])
    encrypt(vault, revoked)
    vault.revoke(revoked)
    wait_until(lambda: is_gone(ends), "the end of a token")
    for token in (ends, revoked):
        assert refusal(ask(vault, token, "transit/encrypt/one", plaintext=PLAIN)) == WRONG
        assert refusal(renew(vault, token)) == refusal(look(vault, token)) == WRONG


def test_logins_by_approle(vault: Vault) -> None:
    role_id, secret_id = vault.approle(["one"], token_ttl=100, token_max_ttl=200)
    auth = login(vault, "approle", role_id=role_id, secret_id=secret_id).json()["auth"]
    token = auth["client_token"]
    assert (auth["lease_duration"], auth["renewable"]) == (100, True)
    data = looked_up(vault, token)
    assert set(data.pop("meta")) == {"role_name"}
    assert data == {name: value for name, value in _PLAIN.items() if name != "meta"} | {
        "creation_ttl": 100, "display_name": "approle", "path": "auth/approle/login",
    }  # fmt: skip
    encrypt(vault, token)
    assert renewed(vault, token) == (100, [])
    assert renewed(vault, token, increment=500)[0] in range(190, 201)
    assert vault.count("login") == 1


def test_periods_of_approle(vault: Vault) -> None:
    role_id, secret_id = vault.approle(["one"], token_period=60)
    auth = login(vault, "approle", role_id=role_id, secret_id=secret_id).json()["auth"]
    assert auth["lease_duration"] == 60
    assert renewed(vault, auth["client_token"], increment=500) == (60, [])


def test_wrong_logins_by_approle(vault: Vault) -> None:
    role_id, secret_id = vault.approle(["one"])
    wrong = (400, ["invalid role or secret ID"])
    for role, secret, expected in (
        (role_id, "wrong", wrong),
        ("wrong", secret_id, wrong),
        (role_id, "", (400, ["missing secret_id"])),
        ("", secret_id, (500, ["missing role_id"])),
    ):
        answer = login(vault, "approle", role_id=role, secret_id=secret)
        assert refusal(answer) == expected
    vault.revoke_secret_id(role_id, secret_id)
    assert refusal(login(vault, "approle", role_id=role_id, secret_id=secret_id)) == wrong


def test_logins_by_jwt(vault: Vault) -> None:
    jwt = vault.jwt_role("fugata", ["one"], token_ttl=100)
    auth = login(vault, "jwt", role="fugata", jwt=jwt).json()["auth"]
    assert (auth["lease_duration"], auth["metadata"]) == (100, {"role": "fugata"})
    assert looked_up(vault, auth["client_token"]) == _PLAIN | {
        "creation_ttl": 100, "display_name": "jwt-fugata", "path": "auth/jwt/login",
        "meta": {"role": "fugata"},
    }  # fmt: skip
    encrypt(vault, auth["client_token"])
    assert renewed(vault, auth["client_token"]) == (100, [])


def test_wrong_logins_by_jwt(vault: Vault) -> None:
    jwt = vault.jwt_role("fugata", ["one"])
    unsigned = "error validating token: error verifying token signature:"
    unknown = f"{unsigned} no known key successfully validated the token signature"
    parts = f"{unsigned} go-jose/go-jose: compact JWS format must have three parts"
    for role, shown, words in (
        ("other", jwt, 'role "other" could not be found'),
        ("", jwt, "missing role"),
        ("fugata", "", "missing token"),
        ("fugata", "no jwt", parts),
        ("fugata", JwtIssuer().sign("fugata"), unknown),
    ):
        assert refusal(login(vault, "jwt", role=role, jwt=shown)) == (400, [words])


def test_a_jwt_that_ended(vault: Vault) -> None:
    jwt = vault.jwt_role("fugata", ["one"], seconds=-3600)
    words = "error validating token: invalid expiration time (exp) claim: token is expired"
    assert refusal(login(vault, "jwt", role="fugata", jwt=jwt)) == (400, [words])


def test_an_unknown_way_to_log_in(vault: Vault) -> None:
    assert refusal(login(vault, "elsewhere", role="fugata", jwt="x")) == WRONG


def test_logins_by_kubernetes() -> None:
    """The stand-in alone has these: a Vault would ask an API server."""
    with TransitServer("one") as server:
        server.kubernetes_role("fugata", ["one"], jwt="service-account", token_ttl=100)
        auth = login(server, "kubernetes", role="fugata", jwt="service-account").json()["auth"]
        assert auth["lease_duration"] == 100
        encrypt(server, auth["client_token"])
        assert refusal(login(server, "kubernetes", role="fugata", jwt="other")) == WRONG
        assert refusal(login(server, "kubernetes", role="other", jwt="service-account")) == (
            400,
            ['invalid role name "other"'],
        )
