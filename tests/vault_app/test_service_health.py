"""The health of a key service: what calls said, both operations, and no more calls than needed."""

import threading
import time

import pytest
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from operations_app.diagnostics import monitor
from operations_app.diagnostics.probes import KEYS, probe_key_provider
from secrets_app.actions.reveal import reveal_share
from secrets_app.errors import DecryptFailed
from tests.secrets_app.support import share
from tests.support.servers.vault import Vault
from tests.vault_app.support import use_new_vault, use_vault
from vault_app import keycheck
from vault_app.backends import key_provider
from vault_app.errors import KeyUnavailable
from vault_app.keys import service_health
from vault_app.models import KeyEncryptionKey

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def vaulted(settings: Settings, vault: Vault) -> Vault:
    use_new_vault(settings, vault, timeout=1.0)
    return vault


def calls(vault: Vault) -> int:
    return vault.count("encrypt") + vault.count("decrypt")


def test_a_service_that_was_just_used_is_not_asked(vaulted: Vault) -> None:
    created = share("s3cret")
    reveal_share(created.share_id, SERVICE)
    before = calls(vaulted)
    for _ in range(5):
        probe_key_provider()
    assert calls(vaulted) == before


@pytest.mark.parametrize("used", ["wrap", "unwrap"])
def test_both_operations_must_have_worked(
    vaulted: Vault, monkeypatch: pytest.MonkeyPatch, used: str
) -> None:
    """Creations alone do not say that anything can be opened."""
    wrapped = key_provider().wrap(bytes(32), b"")
    monkeypatch.setattr(key_provider(), "_health", service_health.ServiceHealth())
    for _ in range(3):
        if used == "wrap":
            key_provider().wrap(bytes(32), b"")
        else:
            key_provider().unwrap(wrapped, b"")
    before = calls(vaulted)
    probe_key_provider()
    assert calls(vaulted) == before + 2


def test_a_service_that_nobody_uses_is_asked_now_and_then(
    vaulted: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = calls(vaulted)
    probe_key_provider()
    assert calls(vaulted) == before
    monkeypatch.setattr(service_health, "TRUSTED", 0.0)
    probe_key_provider()
    assert calls(vaulted) == before + 2


def test_after_a_failure_it_is_asked_at_once_until_it_is_well(vaulted: Vault) -> None:
    vaulted.seal()
    with pytest.raises(KeyUnavailable):
        key_provider().wrap(bytes(32), b"")
    for _ in range(2):
        with pytest.raises(KeyUnavailable, match="sealed"):
            probe_key_provider()
    vaulted.unseal()
    probe_key_provider()
    before = calls(vaulted)
    probe_key_provider()
    assert calls(vaulted) == before


def test_a_failed_opening_is_noticed_though_creations_work(
    settings: Settings, vaulted: Vault
) -> None:
    created = share("s3cret")
    use_vault(settings, vaulted, token=vaulted.new_token(["one"], ["encrypt"]))
    share("another")
    with pytest.raises(DecryptFailed):
        reveal_share(created.share_id, SERVICE)
    with pytest.raises(KeyUnavailable, match="refused to decrypt"):
        probe_key_provider()


@pytest.mark.parametrize(("operation", "refused"), [("encrypt", "decrypt"), ("decrypt", "encrypt")])
def test_a_policy_that_lacks_one_of_both_is_refused_at_the_start(
    settings: Settings, vaulted: Vault, operation: str, refused: str
) -> None:
    KeyEncryptionKey.objects.all().delete()
    use_vault(settings, vaulted, token=vaulted.new_token(["one"], [operation]))
    with pytest.raises(keycheck.KeyCheckFailed, match=f"refused to {refused}.*VAULT_TRANSIT_KEY"):
        keycheck.verify()


def test_a_policy_that_lacks_the_right_to_encrypt_is_refused_later_too(
    settings: Settings, vaulted: Vault
) -> None:
    use_vault(settings, vaulted, token=vaulted.new_token(["one"], ["decrypt"]))
    with pytest.raises(keycheck.KeyCheckFailed, match="refused to encrypt"):
        keycheck.verify()


def test_another_provider_says_nothing_of_the_chosen_one(
    settings: Settings, vaulted: Vault
) -> None:
    """Bytes that do not open, or need a provider that is not set up, are no fault of it."""
    before = calls(vaulted)
    for wrapped in (b"\1\1x" + b"-" * 40, b"\1\5aws:x" + b"-" * 40):
        with pytest.raises(KeyUnavailable):
            key_provider().unwrap(wrapped, b"")
    probe_key_provider()
    assert calls(vaulted) == before


@pytest.mark.parametrize(("slow", "seen"), [(KEYS, {None}), ("Another part", {"Another part"})])
def test_a_slow_key_service_is_not_one_that_hangs(
    monkeypatch: pytest.MonkeyPatch, slow: str, seen: set[str | None]
) -> None:
    """Its calls may take KMS_TIMEOUT each; what else takes so long is taken to hang."""
    monkeypatch.setattr(monitor, "MAX_AGE", 0.3)
    monkeypatch.setattr(monitor, "PERIOD", 0.1)
    begun, goes_on = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        goes_on.wait(10)

    watching = monitor.Monitor()
    watching._thread = threading.current_thread()  # it need not start one
    monkeypatch.setattr(monitor, "PROBES", {})
    watching._probe()
    monkeypatch.setattr(monitor, "PROBES", {slow: wait})
    probing = threading.Thread(target=watching._probe)
    probing.start()
    begun.wait(10)
    time.sleep(0.5)  # longer than an answer is good for
    assert {watching.problem()} == seen
    goes_on.set()
    probing.join()
    assert watching.problem() is None
