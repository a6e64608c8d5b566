"""How often a key service is asked, as docs/keys.md has it: nothing is asked twice, or cached."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from operations_app.diagnostics.probes import probe_key_provider
from repositories_app.actions.secrets import read_secret, set_secret
from secrets_app.actions.create import Draft
from secrets_app.actions.idempotent import create_idempotently, reveal_idempotently
from secrets_app.actions.reveal import reveal_share
from tests.repositories_app.support import opened, people
from tests.secrets_app.support import share
from tests.support.servers.vault import Vault
from tests.vault_app.support import as_a_new_process, use_new_vault
from vault_app import keycheck, rewrap
from vault_app.keys import service_health

pytestmark = pytest.mark.django_db

WRAP, UNWRAP = (1, 0), (0, 1)
BOTH = (1, 1)
RETRY = "k" * 32


@pytest.fixture(autouse=True)
def vaulted(settings: Settings, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A service whose keys are in Vault; nobody waits for other processes."""
    monkeypatch.setattr(rewrap, "PASS_PAUSE", 0.0)
    monkeypatch.setattr(rewrap, "SETTLE", 0.0)
    use_new_vault(settings, vault)
    return vault


@contextmanager
def calls(vault: Vault, expected: tuple[int, int]) -> Iterator[None]:
    """Have the block wrap and unwrap as often as that, and no more."""
    before = vault.count("encrypt"), vault.count("decrypt")
    yield
    after = vault.count("encrypt"), vault.count("decrypt")
    assert (after[0] - before[0], after[1] - before[1]) == expected


def test_shares(vault: Vault) -> None:
    with calls(vault, WRAP):
        once = share()
    with calls(vault, WRAP):
        often = share(one_time=False)
    with calls(vault, UNWRAP):
        reveal_share(once.share_id, SERVICE)
    for _ in range(3):  # nothing is cached
        with calls(vault, UNWRAP):
            reveal_share(often.share_id, SERVICE)


def test_secrets_of_repositories(vault: Vault) -> None:
    people()
    for value in ("old", "new"):
        with calls(vault, WRAP):
            set_secret(opened(), "K", value, SERVICE)
    for _ in range(3):
        with calls(vault, UNWRAP):
            assert read_secret(opened(), "K", SERVICE) == b"new"


def test_an_idempotency_key_costs_no_call(vault: Vault) -> None:
    with calls(vault, WRAP):
        created = create_idempotently(Draft("s3cret", "1h", True, None), SERVICE, RETRY, b"body")
    with calls(vault, (0, 0)):
        create_idempotently(Draft("s3cret", "1h", True, None), SERVICE, RETRY, b"body")
    with calls(vault, UNWRAP):
        reveal_idempotently(created.share_id, SERVICE, RETRY)


def test_health_asks_only_where_nothing_else_did(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_a_new_process()
    with calls(vault, (0, 0)):  # the start has shown it
        probe_key_provider()
    monkeypatch.setattr(service_health, "TRUSTED", -1.0)  # what has shown it is old
    with calls(vault, BOTH):
        probe_key_provider()


def test_a_start(vault: Vault) -> None:
    with calls(vault, (1, 2)):  # the one key that the database knows, and a trial of both
        keycheck.verify()


def test_commands_ask_for_each_row(vault: Vault) -> None:
    for _ in range(3):
        share()
    with calls(vault, (0, 3 + 1)):  # the rows, and the key that the database knows
        call_command("fsck")
    vault.rotate("one")
    few = (3, 1)  # to see which version is the newest, and for the key check value
    with calls(vault, (3 + few[0], 3 + few[1])):
        list(rewrap.rewrap(versions=True))
