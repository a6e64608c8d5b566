"""A caller of Vault's API who sees what it answers."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.servers.bao import BaoServer
from tests.support.servers.transit import TransitServer
from tests.support.servers.vault import Vault, bao

PLAIN, BOUND = base64.b64encode(b"plain").decode(), base64.b64encode(b"bound").decode()
DENIED = "1 error occurred:\n\t* permission denied\n\n"
#: The Vaults that there are here.
KINDS = ["stand-in", *(["openbao"] if bao() else [])]

Refusal = tuple[int, list[str]]


@contextmanager
def vault_of(kind: str) -> Iterator[Vault]:
    """Run a Vault of one of KINDS while the block runs."""
    server = BaoServer() if kind == "openbao" else TransitServer()
    with server:
        yield server


def ask(vault: Vault, token: str, path: str, **fields: Any) -> httpx.Response:
    """Return what it answers to a POST."""
    headers = {"X-Vault-Token": token} if token else {}
    return httpx.post(f"{vault.url}/v1/{path}", headers=headers, json=fields, timeout=30)


def look(vault: Vault, token: str, path: str = "auth/token/lookup-self") -> httpx.Response:
    """Return what it answers to a GET."""
    return httpx.get(f"{vault.url}/v1/{path}", headers={"X-Vault-Token": token}, timeout=30)


def encrypt(vault: Vault, token: str, key: str = "one", **fields: Any) -> str:
    """Return a ciphertext of PLAIN."""
    answer = ask(vault, token, f"transit/encrypt/{key}", plaintext=PLAIN, **fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["ciphertext"])


def decrypt(vault: Vault, token: str, ciphertext: str, **fields: Any) -> httpx.Response:
    """Return what it answers for a ciphertext under the key `one`."""
    return ask(vault, token, "transit/decrypt/one", ciphertext=ciphertext, **fields)


def refusal(answer: httpx.Response) -> Refusal:
    """Return the status and the words of a refusal."""
    assert not answer.is_success, answer.text
    return answer.status_code, answer.json()["errors"]
