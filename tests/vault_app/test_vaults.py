"""The stand-in of Vault answers as a Vault does: the same on both, where FUGATA_BAO names one."""

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.clients.vaults import (
    BOUND,
    DENIED,
    KINDS,
    PLAIN,
    ask,
    decrypt,
    encrypt,
    look,
    refusal,
    vault_of,
)
from tests.support.faults.faulty import FaultyProxy
from tests.support.servers.vault import Vault

pytestmark = pytest.mark.processes

FIELDS = {"plaintext": PLAIN}
NO_DATA = (
    "1 error occurred:\n\t* unable to get associated_data/additional_data from factory[0]:"
    " illegal base64 data at input byte 0\n\n"
)
NO_CONTEXT = "missing 'context' for key derivation; the key was created using a derived key"
#: What is asked of Transit ("@" is a ciphertext's text, with BOUND), and how it refuses.
REFUSED: dict[str, tuple[str, dict[str, str], int, str]] = {
    "other associated data": ("decrypt/one", {"ciphertext": "vault:v1:@", "associated_data": PLAIN},
                              400, "cipher: message authentication failed"),
    "no associated data": ("decrypt/one", {"ciphertext": "vault:v1:@"},
                           400, "cipher: message authentication failed"),
    "associated data without sense": ("encrypt/one", {"plaintext": "", "associated_data": "!"},
                                      500, NO_DATA),
    "a plaintext without sense": ("encrypt/one", {"plaintext": "!"},
                                  400, "illegal base64 data at input byte 0"),
    "no plaintext": ("encrypt/one", {}, 400, "missing plaintext to encrypt"),
    "no ciphertext": ("decrypt/one", {}, 400, "missing ciphertext to decrypt"),
    "no prefix": ("decrypt/one", {"ciphertext": "@"}, 400, "invalid ciphertext: no prefix"),
    "no text": ("decrypt/one", {"ciphertext": "vault:v1"},
                400, "invalid ciphertext: wrong number of fields"),
    "no version": ("decrypt/one", {"ciphertext": "vault:vx:@"},
                   400, "invalid ciphertext: version number could not be decoded"),
    "no base64": ("decrypt/one", {"ciphertext": "vault:v1:!"},
                  400, "invalid ciphertext: could not decode base64"),
    "too short": ("decrypt/one", {"ciphertext": "vault:v1:AAAA"}, 400, "invalid ciphertext length"),
    "too new": ("decrypt/one", {"ciphertext": "vault:v2:@"},
                400, "invalid ciphertext: version is too new"),
    "an unknown key to encrypt": ("encrypt/none", {"plaintext": PLAIN}, 403, DENIED),
    "an unknown key to decrypt": ("decrypt/none", {"ciphertext": "vault:v1:@"},
                                  400, "encryption key not found"),
    "somebody else's key": ("decrypt/two", {"ciphertext": "vault:v1:@"}, 403, DENIED),
    "an RSA key": ("encrypt/rsa", {"plaintext": PLAIN, "associated_data": BOUND},
                   400, "'[0].associated_data' provided for non-AEAD cipher suite rsa-2048"),
}  # fmt: skip


@pytest.fixture(params=KINDS)
def vault(request: pytest.FixtureRequest) -> Iterator[Vault]:
    """A Vault of each kind."""
    with vault_of(request.param) as server:
        yield server


@pytest.fixture
def token(vault: Vault) -> str:
    """A token that may use the key `one`."""
    vault.add_key("one")
    return vault.new_token(["one"])


def test_what_transit_refuses(vault: Vault) -> None:
    for name, options in (("one", {}), ("two", {}), ("rsa", {"type": "rsa-2048"})):
        vault.add_key(name, **options)
    token = vault.new_token(["one", "rsa", "none"])
    text = encrypt(vault, token, associated_data=BOUND).removeprefix("vault:v1:")
    said: dict[str, Any] = {}
    for name, (path, fields, _, _) in REFUSED.items():
        filled = {field: value.replace("@", text) for field, value in fields.items()}
        said[name] = refusal(ask(vault, token, f"transit/{path}", **filled))
    assert said == {name: (status, [words]) for name, (_, _, status, words) in REFUSED.items()}


def test_who_is_refused(vault: Vault, token: str) -> None:
    wrong, denied = (403, ["permission denied"]), (403, [DENIED])
    for other in ("hvs.Wrong0002", "s.Wrong0002", ""):
        assert refusal(ask(vault, other, "transit/encrypt/one", plaintext=PLAIN)) == wrong
        assert refusal(ask(vault, other, "elsewhere/encrypt/one", plaintext=PLAIN)) == wrong
        assert refusal(look(vault, other)) == wrong
    encrypts = vault.new_token(["one"], ["encrypt"])
    assert refusal(decrypt(vault, encrypts, encrypt(vault, encrypts))) == denied
    assert refusal(ask(vault, token, "elsewhere/encrypt/one", plaintext=PLAIN)) == denied
    assert refusal(look(vault, token, "transit/encrypt/one")) == denied


def test_no_such_place(vault: Vault) -> None:
    answer = ask(vault, vault.root_token, "elsewhere/encrypt/one", plaintext=PLAIN)
    words = 'no handler for route "elsewhere/encrypt/one". route entry not found.'
    assert refusal(answer) == (404, [words])
    answer = ask(vault, vault.root_token, "transit/nothing/one")
    assert refusal(answer) == (404, ["1 error occurred:\n\t* unsupported path\n\n"])


def test_no_such_namespace(vault: Vault, token: str) -> None:
    for one in (token, "hvs.Wrong0002"):
        headers = {"X-Vault-Token": one, "X-Vault-Namespace": "elsewhere"}
        answer = httpx.post(f"{vault.url}/v1/transit/encrypt/one", headers=headers, json={})
        assert refusal(answer) == (404, ["namespace not found"])


def test_no_json(vault: Vault, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(f"{vault.url}/v1/transit/encrypt/one", headers=headers, content=b"{")
    assert refusal(answer) == (400, ["failed to decode JSON input: unexpected EOF"])


@pytest.mark.parametrize("kind", ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305"])
def test_types_of_keys(vault: Vault, kind: str) -> None:
    vault.add_key("one", type=kind)
    token = vault.new_token(["one"])
    sealed = encrypt(vault, token, associated_data=BOUND)
    opened = decrypt(vault, token, sealed, associated_data=BOUND)
    assert opened.json()["data"] == {"plaintext": PLAIN}
    package = "chacha20poly1305" if kind == "chacha20-poly1305" else "cipher"
    assert refusal(decrypt(vault, token, sealed)) == (
        400,
        [f"{package}: message authentication failed"],
    )


def test_a_derived_key(vault: Vault) -> None:
    vault.add_key("one", derived=True)
    token = vault.new_token(["one"])
    sealed = encrypt(vault, token, context=BOUND)
    assert decrypt(vault, token, sealed, context=BOUND).json()["data"] == {"plaintext": PLAIN}
    assert refusal(decrypt(vault, token, sealed, context=PLAIN))[0] == 400
    status, words = refusal(decrypt(vault, token, sealed))
    assert (status, words[0].startswith(NO_CONTEXT)) == (400, True)


def test_versions(vault: Vault, token: str) -> None:
    made = [encrypt(vault, token, associated_data=BOUND)]
    for _ in range(2):
        vault.rotate("one")
        made.append(encrypt(vault, token, associated_data=BOUND))
    assert [one[:9] for one in made] == ["vault:v1:", "vault:v2:", "vault:v3:"]
    old = (400, ["ciphertext or signature version is disallowed by policy (too old)"])

    def opens() -> list[bool]:
        answers = [decrypt(vault, token, one, associated_data=BOUND) for one in made]
        assert all(one.is_success or refusal(one) == old for one in answers)
        return [one.is_success for one in answers]

    assert opens() == [True, True, True]
    vault.raise_minimum("one", 2)
    assert opens() == [False, True, True]
    vault.raise_minimum("one", 1)
    assert opens() == [True, True, True]
    vault.trim("one", 3)
    assert opens() == [False, False, True]
    with pytest.raises(AssertionError):
        vault.raise_minimum("one", 2)


def test_a_version_opens_only_its_own(vault: Vault, token: str) -> None:
    first = encrypt(vault, token)
    vault.rotate("one")
    answer = decrypt(vault, token, first.replace("vault:v1:", "vault:v2:"))
    assert refusal(answer) == (400, ["cipher: message authentication failed"])


def test_a_deleted_key(vault: Vault, token: str) -> None:
    sealed = encrypt(vault, token)
    vault.delete_key("one")
    assert refusal(decrypt(vault, token, sealed)) == (400, ["encryption key not found"])
    assert refusal(ask(vault, token, "transit/encrypt/one", plaintext=PLAIN)) == (403, [DENIED])


@pytest.mark.parametrize("headers", [True, False])
def test_too_many_calls(vault: Vault, token: str, headers: bool) -> None:
    vault.limit(1, 3600, headers=headers)
    encrypt(vault, token)
    for one in (token, "hvs.Wrong0002"):
        answer = ask(vault, one, "transit/encrypt/one", plaintext=PLAIN)
        words = 'request path "transit/encrypt/one": rate limit quota exceeded'
        assert refusal(answer) == (429, [words])
        told = {name for name in ("Retry-After", "X-Ratelimit-Reset") if name in answer.headers}
        assert len(told) == (2 if headers else 0)
        assert not headers or 0 < int(answer.headers["Retry-After"]) <= 3600
    assert look(vault, token).status_code == 200
    vault.unlimit()
    encrypt(vault, token)
    assert (vault.count("encrypt"), vault.count("lookup-self")) == (4, 1)


def test_a_sealed_vault(vault: Vault, token: str) -> None:
    vault.seal()
    for one in (token, "hvs.Wrong0002"):
        answer = ask(vault, one, "transit/encrypt/one", plaintext=PLAIN)
        assert refusal(answer) == (503, ["Vault is sealed"])
    vault.unseal()
    encrypt(vault, token)


def test_calls_are_counted(vault: Vault, token: str) -> None:
    encrypt(vault, token)
    ask(vault, "hvs.Wrong0002", "transit/encrypt/one", plaintext=PLAIN)
    assert (vault.count("encrypt"), vault.count("decrypt")) == (2, 0)


def _comes(url: str, token: str) -> list[str]:
    """Return which parts of an answer come before a client loses its patience with a byte."""
    came, headers = [], {"X-Vault-Token": token}
    with contextlib.suppress(httpx.ReadTimeout):
        with httpx.stream("POST", url, headers=headers, json=FIELDS, timeout=2) as answer:
            came.append("head")
            answer.read()
            came.append("body")
    return came


@pytest.mark.parametrize(("kind", "at_once"), [("drip", ["head"]), ("drip_head", [])])
def test_answers_that_trickle(
    vault: Vault, token: str, faulty_vault: FaultyProxy, kind: str, at_once: list[str]
) -> None:
    url = f"{faulty_vault.url}/v1/transit/encrypt/one"
    faulty_vault.fail(kind, pause=0.001)
    assert _comes(url, token) == ["head", "body"]
    faulty_vault.fail(kind, pause=3600)
    assert _comes(url, token) == at_once
    faulty_vault.heal()
    assert vault.count("encrypt") == 2


def test_answers_that_are_no_vaults(vault: Vault, token: str, faulty_vault: FaultyProxy) -> None:
    url = f"{faulty_vault.url}/v1/transit/encrypt/one"
    faulty_vault.fail("answer", status=200, body=bytes(10 * 2**20))
    assert len(httpx.post(url).content) == 10 * 2**20
    faulty_vault.fail("reset")
    with pytest.raises(httpx.ReadError):
        httpx.post(url)
    assert vault.count("encrypt") == 0
