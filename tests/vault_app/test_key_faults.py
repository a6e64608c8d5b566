"""A key service that is broken: one sentence within the timeout, and nothing is used up."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from fugata_core import tokens
from secrets_app.actions.create import Draft, create_share
from secrets_app.actions.reveal import reveal_share
from secrets_app.errors import DecryptFailed, EncryptFailed
from secrets_app.models import Share
from tests.secrets_app.support import kinds, share
from tests.support.faults import broken
from tests.support.faults.broken import Break, BrokenServer
from tests.support.servers.http_server import Handler
from tests.support.servers.kms import REGION, KmsServer
from tests.support.servers.parts import free_port
from tests.support.servers.transit import TOKEN, TransitServer
from vault_app import backends, keycheck
from vault_app.errors import DecryptionFailed, KeyUnavailable
from vault_app.keys.aws import AwsKms
from vault_app.keys.base import KeyProvider
from vault_app.keys.vault import VaultTransit
from vault_app.models import KeyEncryptionKey

DATA_KEY = b"d" * 32
UUID = "12345678-1234-1234-1234-123456789012"


def ready(provider: AwsKms) -> AwsKms:
    """Return it once its client is made, which takes longer than these tests' calls may."""
    provider._making.result(60)
    return provider


MAKERS: dict[str, Callable[[str, float], KeyProvider]] = {
    "vault": lambda url, timeout: VaultTransit(["one"], address=url, token=TOKEN, timeout=timeout),
    "aws": lambda url, timeout: ready(AwsKms([UUID], region=REGION, endpoint=url, timeout=timeout)),
}
FAULTS: dict[str, Break | None] = {
    "hangs": None,
    "resets": broken.reset,
    "500": broken.status(500, errors=["1 error occurred"], __type="KMSInternalException"),
    "502": broken.page,
    "503": broken.status(503, errors=["Vault is sealed"]),
    "429": broken.status(429, errors=["request path: rate limit quota exceeded"]),
    "403": broken.status(403, errors=["permission denied"]),
    "400": broken.status(400, __type="ThrottlingException"),
    "wrong credentials": broken.status(400, __type="UnrecognizedClientException"),
    "strange": broken.status(200, data={"ciphertext": "vault:v1:", "plaintext": "%"}),
    "no object": broken.status(200, data=[]),
    "a page": broken.page,
}

both_services = pytest.mark.parametrize("name", MAKERS)


@pytest.fixture
def server() -> Iterator[BrokenServer]:
    with BrokenServer() as made:
        yield made


def assert_unavailable(provider: KeyProvider) -> None:
    """Each call ends with our error, which repeats nothing that was sent."""
    header = bytes([1, len(provider.primary)]) + provider.primary.encode()
    calls: list[Callable[[], object]] = [
        lambda: provider.wrap(DATA_KEY, b"context"),
        lambda: provider.unwrap(header + bytes([0, 0, 0, 1]) + b"w" * 60, b"context"),
        provider.check,
    ]
    for call in calls:
        with pytest.raises(KeyUnavailable) as raised:
            call()
        assert raised.value.__suppress_context__ or raised.value.__context__ is None
        assert TOKEN not in str(raised.value)
        assert "127.0.0.1" not in str(raised.value)


@both_services
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.timeout(60)
def test_a_broken_service(server: BrokenServer, name: str, fault: str) -> None:
    server.broken = FAULTS[fault] or server.hang
    assert_unavailable(MAKERS[name](server.url, 0.2))


@both_services
def test_nobody_listens(name: str) -> None:
    assert_unavailable(MAKERS[name](f"http://127.0.0.1:{free_port()}", 0.2))


def test_no_aws_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kms: KmsServer
) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    provider = AwsKms([UUID], region=REGION, endpoint=kms.url)
    with pytest.raises(KeyUnavailable, match="credentials"):
        provider.wrap(DATA_KEY, b"")


def test_no_aws_region() -> None:
    with pytest.raises(ImproperlyConfigured, match="AWS_REGION"):
        AwsKms([UUID])
    arn = f"arn:aws:kms:eu-central-1:123456789012:key/{UUID}"
    assert AwsKms([arn])._region == "eu-central-1"


def test_an_aws_key_that_is_missing_or_not_listed(kms: KmsServer) -> None:
    key, other = kms.new_key(), kms.new_key()
    provider = AwsKms([key], region=REGION, endpoint=kms.url)
    wrapped = provider.wrap(DATA_KEY, b"")
    for wrong in (UUID, other):
        with pytest.raises(KeyUnavailable):
            AwsKms([wrong], region=REGION, endpoint=kms.url).unwrap(wrapped, b"")
    with pytest.raises(KeyUnavailable, match="AWS_KMS_KEY_ID"):
        AwsKms([UUID], region=REGION, endpoint=kms.url).wrap(DATA_KEY, b"")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("DisabledException", "disabled"),
        ("KMSInvalidStateException", "state"),
        ("AccessDeniedException", "may not use"),
        ("NotFoundException", "AWS_KMS_KEY_ID"),
        ("ExpiredTokenException", "expired"),
        ("SomethingNew", "failed"),
    ],
)
def test_what_aws_refuses(server: BrokenServer, code: str, says: str) -> None:
    """moto enforces none of these states."""
    server.broken = broken.status(400, __type=code)
    with pytest.raises(KeyUnavailable, match=says):
        MAKERS["aws"](server.url, 0.2).wrap(DATA_KEY, b"")


def test_aws_says_that_the_bytes_do_not_fit(server: BrokenServer) -> None:
    provider = MAKERS["aws"](server.url, 0.2)
    wrapped = bytes([1, len(provider.primary)]) + provider.primary.encode() + b"w" * 60
    for code in ("IncorrectKeyException", "InvalidCiphertextException"):
        server.broken = broken.status(400, __type=code)
        with pytest.raises(DecryptionFailed):
            provider.unwrap(wrapped, b"")


def test_a_wrong_vault_token(transit: TransitServer) -> None:
    provider = VaultTransit(["one"], address=transit.url, token="hvs.Wrong0002")
    with pytest.raises(KeyUnavailable, match="VAULT_TOKEN") as raised:
        provider.wrap(DATA_KEY, b"")
    assert "Wrong0002" not in str(raised.value)


def test_a_renewed_vault_token_is_read_from_its_file(
    transit: TransitServer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    access: dict[str, Any] = {"address": transit.url, "token_file": str(file)}
    provider = VaultTransit(["one"], **access)
    wrapped = provider.wrap(DATA_KEY, b"")
    transit.tokens = {"hvs.Renewed0003"}
    with pytest.raises(KeyUnavailable):
        provider.unwrap(wrapped, b"")
    file.write_text("hvs.Renewed0003\n")
    assert provider.unwrap(wrapped, b"") == DATA_KEY
    file.unlink()
    transit.tokens = set()
    with pytest.raises(KeyUnavailable):
        provider.unwrap(wrapped, b"")


@pytest.mark.parametrize(
    ("keys", "mount", "setting"),
    [(["nokey"], "transit", "the key"), (["one"], "elsewhere", "VAULT_TRANSIT_MOUNT")],
)
def test_a_wrong_vault_key_or_mount(
    transit: TransitServer, keys: list[str], mount: str, setting: str
) -> None:
    provider = VaultTransit(keys, address=transit.url, token=TOKEN, mount=mount)
    with pytest.raises(KeyUnavailable, match=setting):
        provider.wrap(DATA_KEY, b"")


def test_a_vault_key_that_was_deleted(transit: TransitServer) -> None:
    provider = VaultTransit(["one"], address=transit.url, token=TOKEN)
    wrapped = provider.wrap(DATA_KEY, b"")
    del transit.keys["one"]
    with pytest.raises(KeyUnavailable, match="VAULT_TRANSIT_KEY"):
        provider.unwrap(wrapped, b"")


def test_a_vault_key_that_binds_nothing(transit: TransitServer) -> None:
    transit.keys["one"].kind = "rsa-4096"
    provider = VaultTransit(["one"], address=transit.url, token=TOKEN)
    with pytest.raises(KeyUnavailable, match="aes256-gcm96"):
        provider.wrap(DATA_KEY, b"")


def test_versions_of_a_vault_key(transit: TransitServer) -> None:
    """Old versions open until Vault is told otherwise; new ones wrap at once."""
    provider = VaultTransit(["one"], address=transit.url, token=TOKEN)
    old = provider.wrap(DATA_KEY, b"")
    transit.rotate("one")
    new = provider.wrap(DATA_KEY, b"")
    assert provider.unwrap(old, b"") == provider.unwrap(new, b"") == DATA_KEY
    transit.keys["one"].min_decryption_version = 2
    assert provider.unwrap(new, b"") == DATA_KEY
    with pytest.raises(KeyUnavailable, match="version"):
        provider.unwrap(old, b"")


def test_a_key_that_no_setting_lists_is_not_asked_for(transit: TransitServer) -> None:
    wrapped = VaultTransit(["two"], address=transit.url, token=TOKEN).wrap(DATA_KEY, b"")
    transit.calls.clear()
    with pytest.raises(KeyUnavailable, match="VAULT_TRANSIT_KEY"):
        VaultTransit(["one"], address=transit.url, token=TOKEN).unwrap(wrapped, b"")
    assert transit.calls == []


def test_a_wrapping_can_not_be_moved_to_another_key(transit: TransitServer) -> None:
    """The header names the key and is bound: the same Transit key under another name is no help."""
    transit.keys["two"] = transit.keys["one"]
    provider = VaultTransit(["one", "two"], address=transit.url, token=TOKEN)
    wrapped = provider.wrap(DATA_KEY, b"")
    with pytest.raises(DecryptionFailed):
        provider.unwrap(wrapped.replace(b"/one", b"/two"), b"")


def test_vault_redirects_are_not_followed(server: BrokenServer, transit: TransitServer) -> None:
    """A redirect would carry the token wherever it points."""
    server.broken = broken.redirect(transit.url)
    with pytest.raises(KeyUnavailable):
        VaultTransit(["one"], address=server.url, token=TOKEN).wrap(DATA_KEY, b"")
    assert transit.calls == []


def test_a_connection_that_broke_is_tried_once_more(server: BrokenServer) -> None:
    def once(handler: Handler) -> None:
        server.broken = server.hang
        broken.reset(handler)

    for name, make in MAKERS.items():
        server.broken, server.seen = once, []
        with pytest.raises(KeyUnavailable):
            make(server.url, 0.4).wrap(DATA_KEY, b"")
        assert len(server.seen) == 2, name


def test_a_ca_that_is_not_there() -> None:
    with pytest.raises(ImproperlyConfigured, match="VAULT_CACERT"):
        VaultTransit(["one"], address="https://localhost", token=TOKEN, ca="/nonexistent")


def test_many_threads_ask_at_once(transit: TransitServer) -> None:
    provider = VaultTransit(["one"], address=transit.url, token=TOKEN)
    opened: list[bytes] = []

    def work(number: int) -> None:
        data_key = bytes([number]) * 32
        opened.append(provider.unwrap(provider.wrap(data_key, b""), b"") + bytes([number]))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opened) == [bytes([n]) * 33 for n in range(20)]


# --- What the service does with it ---------------------------------------------------------------


@pytest.fixture
def vaulted(settings: Settings, transit: TransitServer, db: None) -> TransitServer:
    """A service whose keys are in Vault, and which knows them."""
    KeyEncryptionKey.objects.all().delete()
    use_vault(settings, transit.url)
    keycheck.verify()
    return transit


def use_vault(settings: Settings, url: str, timeout: float = 5.0) -> None:
    backend = "vault_app.keys.vault.VaultTransit"
    options = {"keys": ["one"], "address": url, "token": TOKEN, "timeout": timeout}
    settings.KMS_PROVIDER = {"BACKEND": backend, "OPTIONS": options}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("one_time", [True, False])
@pytest.mark.timeout(60)
def test_an_open_consumes_nothing(
    vaulted: TransitServer, server: BrokenServer, settings: Settings, fault: str, one_time: bool
) -> None:
    created = share("s3cret", one_time=one_time)
    server.broken = FAULTS[fault] or server.hang
    use_vault(settings, server.url, timeout=0.2)
    with pytest.raises(DecryptFailed) as raised:
        reveal_share(created.share_id, SERVICE)
    assert (raised.value.status, raised.value.sentence) == (500, "Failed to decrypt secret")
    assert "opened" not in kinds(tokens.digest(created.share_id))
    use_vault(settings, vaulted.url)
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


def test_a_create_keeps_nothing(
    vaulted: TransitServer, server: BrokenServer, settings: Settings
) -> None:
    use_vault(settings, server.url, timeout=0.2)
    with pytest.raises(EncryptFailed):
        create_share(Draft("s3cret", "1h", True, None), SERVICE)
    assert not Share.objects.exists()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_forked_process_has_connections_of_its_own(vaulted: TransitServer) -> None:
    here = backends.key_provider()
    child = os.fork()
    if child == 0:
        os._exit(int(backends.key_provider() is here))
    assert os.waitpid(child, 0)[1] == 0
    assert backends.key_provider() is here
