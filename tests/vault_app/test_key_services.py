"""A key service that is slow, huge or wrong: a deadline, a bound, and a sentence that helps."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.support.faults import broken
from tests.support.faults.broken import BrokenServer
from tests.support.faults.faulty import FaultyProxy
from tests.support.servers.certificates import Authority
from tests.support.servers.http_server import Handler
from tests.support.servers.kms import REGION, KmsServer
from tests.support.servers.parts import free_port
from tests.support.servers.tls import TlsFront
from tests.support.servers.vault import Vault
from tests.vault_app.support import DATA_KEY, ends_in_time
from vault_app.errors import KeyServiceAway, KeyServiceBusy, KeyUnavailable
from vault_app.keys import transport
from vault_app.keys.aws import AwsKms
from vault_app.keys.base import KeyProvider
from vault_app.keys.retries import retrying
from vault_app.keys.transport import MAX_ANSWER, time_limit
from vault_app.keys.vault import VaultTransit

pytestmark = pytest.mark.processes

#: Seconds of a call in these tests.
TIMEOUT = 0.6


@pytest.fixture
def token(vault: Vault) -> str:
    vault.add_key("one")
    return vault.new_token(["one"])


def provider_at(url: str, token: str, **options: Any) -> VaultTransit:
    given: dict[str, Any] = {"address": url, "token": token, "timeout": TIMEOUT}
    return VaultTransit(["one"], **given | options)


# --- One deadline --------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drip", "drip_head", "hang"])
def test_an_answer_of_vault_that_trickles(
    vault: Vault, token: str, faulty_vault: FaultyProxy, fault: str
) -> None:
    """A byte now and then is progress for the library, and none for who waits."""
    provider = provider_at(faulty_vault.url, token)
    wrapped = provider.wrap(DATA_KEY, b"")
    faulty_vault.fail(fault, pause=0.2)
    with ends_in_time(), pytest.raises(KeyServiceAway, match="did not answer in time"):
        provider.wrap(DATA_KEY, b"")
    with ends_in_time(), pytest.raises(KeyServiceAway, match="did not answer in time"):
        provider.unwrap(wrapped, b"")
    faulty_vault.heal()
    assert provider.unwrap(wrapped, b"") == DATA_KEY


@pytest.mark.parametrize("fault", ["drip", "drip_head", "hang"])
def test_an_answer_of_kms_that_trickles(kms: KmsServer, fault: str) -> None:
    proxy = FaultyProxy(kms.url)
    provider = AwsKms([kms.new_key()], region=REGION, endpoint=proxy.url, timeout=TIMEOUT)
    provider._making.result(60)
    proxy.fail(fault, pause=0.2)
    with ends_in_time(), pytest.raises(KeyServiceAway, match="did not answer in time"):
        provider.wrap(DATA_KEY, b"")
    proxy.close()


def test_a_handshake_that_never_ends(token: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with ends_in_time(), pytest.raises(KeyServiceAway):
            provider_at(url, token).wrap(DATA_KEY, b"")


def test_a_name_that_is_looked_up_forever(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: released.wait(60))
    with ends_in_time(), pytest.raises(KeyServiceAway):
        provider_at("https://vault.example", token).wrap(DATA_KEY, b"")
    released.set()


def test_no_netrc_speaks_for_us(
    vault: Vault, token: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its password would go to Vault, and take the place of what AWS's client has signed."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with BrokenServer(broken.status(400)) as server:
        for provider in (
            provider_at(server.url, token),
            AwsKms(["k" * 36], region=REGION, endpoint=server.url, timeout=20.0),
        ):
            with pytest.raises(KeyUnavailable):
                provider.wrap(DATA_KEY, b"")
    sent = [headers.get("Authorization", "") for headers in server.seen]
    assert [text.partition(" ")[0] for text in sent] == ["", "AWS4-HMAC-SHA256"]


def test_a_limit_within_another_only_shortens_it() -> None:
    with time_limit(1.0):
        with time_limit(60.0):
            assert transport.time_left() <= 1.0
        with time_limit(0.0), pytest.raises(TimeoutError):
            transport.time_left()
        assert transport.time_left() > 0.0


# --- A bound -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [MAX_ANSWER + 1, 40 * 2**20])
def test_a_huge_answer_of_vault(
    vault: Vault, token: str, faulty_vault: FaultyProxy, size: int
) -> None:
    body = b'{"data":{"ciphertext":"vault:v1:' + b"A" * size + b'"}}'
    faulty_vault.fail("answer", status=200, body=body, headers={"Content-Type": "application/json"})
    with pytest.raises(KeyUnavailable, match="answer is too large"):
        provider_at(faulty_vault.url, token).wrap(DATA_KEY, b"")


def test_an_answer_that_would_be_huge_when_unpacked(
    token: str,
) -> None:
    packed = gzip.compress(b'{"data":{"ciphertext":"vault:v1:' + b"A" * 80 + b'"}}')

    def answer(handler: Handler) -> None:
        handler.answer(200, packed, content_type="application/json", content_encoding="gzip")

    with BrokenServer(answer) as server:
        with pytest.raises(KeyUnavailable, match="makes no sense"):
            provider_at(server.url, token).wrap(DATA_KEY, b"")


@pytest.mark.parametrize("size", [1028, 8000])
def test_a_large_ciphertext_is_not_kept(
    vault: Vault, token: str, faulty_vault: FaultyProxy, size: int
) -> None:
    body = b'{"data":{"ciphertext":"vault:v1:' + b"A" * size + b'"}}'
    faulty_vault.fail("answer", status=200, body=body, headers={"Content-Type": "application/json"})
    with pytest.raises(KeyUnavailable, match="makes no sense"):
        provider_at(faulty_vault.url, token).wrap(DATA_KEY, b"")


@pytest.mark.parametrize(
    ("size", "says"), [(9000, "makes no sense"), (40 * 2**20, "answer is too large")]
)
def test_a_huge_answer_of_kms(size: int, says: str) -> None:
    answer = broken.status(200, CiphertextBlob="A" * size, Plaintext="A" * size)
    with BrokenServer(answer) as server:
        provider = AwsKms(["k" * 36], region=REGION, endpoint=server.url, timeout=5.0)
        with pytest.raises(KeyUnavailable, match=says):
            provider.wrap(DATA_KEY, b"")


@pytest.mark.parametrize("text", ["", "QQ==", "A" * 60])
def test_a_data_key_of_another_size(faulty_vault: FaultyProxy, token: str, text: str) -> None:
    provider = provider_at(faulty_vault.url, token)
    wrapped = provider.wrap(DATA_KEY, b"")
    body = b'{"data":{"plaintext":"' + text.encode() + b'"}}'
    faulty_vault.fail("answer", status=200, body=body, headers={"Content-Type": "application/json"})
    with pytest.raises(KeyUnavailable, match="makes no sense"):
        provider.unwrap(wrapped, b"")


# --- Retries -------------------------------------------------------------------------------------


def test_kms_that_throttles_every_second_call(kms: KmsServer) -> None:
    proxy, key = FaultyProxy(kms.url), kms.new_key()
    provider = AwsKms([key], region=REGION, endpoint=proxy.url)
    for _ in range(10):
        proxy.fail("answer", status=400, body=b'{"__type":"ThrottlingException"}', times=1)
        wrapped = provider.wrap(DATA_KEY, b"")
        proxy.fail("answer", status=400, body=b'{"__type":"ThrottlingException"}', times=1)
        assert provider.unwrap(wrapped, b"") == DATA_KEY
        assert proxy.struck == 1
    proxy.close()


@pytest.mark.parametrize("fault", ["reset", "drop", "answer", "lose"])
def test_what_passes_is_not_noticed(
    vault: Vault, token: str, faulty_vault: FaultyProxy, fault: str
) -> None:
    provider = provider_at(faulty_vault.url, token, timeout=5.0)
    wrapped = provider.wrap(DATA_KEY, b"")
    faulty_vault.fail(fault, method="POST", status=500, times=2)
    assert provider.unwrap(wrapped, b"") == DATA_KEY


def test_a_quota_is_waited_for_as_long_as_the_call_may_last(vault: Vault, token: str) -> None:
    provider = provider_at(vault.url, token, timeout=5.0)
    vault.limit(2)
    for _ in range(8):
        provider.wrap(DATA_KEY, b"")
    vault.limit(1, 3600)
    provider = provider_at(vault.url, token)
    provider.wrap(DATA_KEY, b"")
    with ends_in_time(), pytest.raises(KeyServiceBusy, match="asked too often"):
        provider.wrap(DATA_KEY, b"")


def test_who_is_asked_too_often_is_not_taken_to_be_away() -> None:
    """Though the last attempt had no time left to hear the same again."""

    def attempts() -> Iterator[KeyServiceAway]:
        yield KeyServiceBusy("asked too often")
        time.sleep(0.5)
        yield KeyServiceAway("did not answer in time")

    errors = attempts()

    def call() -> None:
        raise next(errors)

    with time_limit(0.5), pytest.raises(KeyServiceBusy):
        retrying(call)


def test_it_comes_back_no_sooner_than_it_is_asked_to(token: str, faulty_vault: FaultyProxy) -> None:
    provider = provider_at(faulty_vault.url, token, timeout=5.0)
    faulty_vault.fail("answer", method="POST", status=429, headers={"Retry-After": "1"}, times=1)
    began = time.monotonic()
    provider.wrap(DATA_KEY, b"")
    assert time.monotonic() - began >= 1.0


def test_what_lasts_is_not_repeated(token: str, faulty_vault: FaultyProxy) -> None:
    faulty_vault.fail("answer", status=403, body=b'{"errors":["permission denied"]}')
    with pytest.raises(KeyUnavailable):
        provider_at(faulty_vault.url, token).wrap(DATA_KEY, b"")
    assert faulty_vault.struck == 1


# --- Sentences -----------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def said_by(provider: KeyProvider) -> str:
    """Return what is said where nothing can be wrapped."""
    with pytest.raises(KeyUnavailable) as raised:
        provider.wrap(DATA_KEY, b"")
    return str(raised.value)


class Front(Protocol):
    def __call__(self, *, clients: bool = False, **certificate: Any) -> str: ...


@pytest.fixture
def front(vault: Vault, authority: Authority) -> Iterator[Front]:
    """Have `vault` reached by TLS, too: returns its address there."""
    made: list[TlsFront] = []

    def begin(*, clients: bool = False, **certificate: Any) -> str:
        own = authority.issue("vault", **certificate)
        port, ca = int(vault.url.rpartition(":")[2]), authority.path if clients else None
        made.append(TlsFront(port, own.certificate, own.key, ca))
        return f"https://127.0.0.1:{made[-1].port}"

    yield begin
    for each in made:
        each.close()


def test_tls(token: str, front: Front, authority: Authority) -> None:
    provider = provider_at(front(), token, ca=str(authority.path), timeout=5.0)
    assert provider.unwrap(provider.wrap(DATA_KEY, b""), b"") == DATA_KEY


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        ({"days": -1}, "certificate has expired"),
        ({"address": "127.0.0.2"}, "VAULT_ADDR"),
    ],
)
def test_a_wrong_certificate(
    token: str, front: Front, authority: Authority, certificate: dict[str, Any], says: str
) -> None:
    address = front(**certificate)
    assert says in said_by(provider_at(address, token, ca=str(authority.path), timeout=5.0))


def test_an_unknown_authority(token: str, front: Front) -> None:
    assert "VAULT_CACERT" in said_by(provider_at(front(), token, timeout=5.0))


def test_client_certificates(token: str, front: Front, authority: Authority) -> None:
    address = front(clients=True)
    ours, ca = authority.issue("client"), str(authority.path)
    known = {"certificate": str(ours.certificate), "key": str(ours.key)}
    provider = provider_at(address, token, ca=ca, timeout=5.0, **known)
    assert provider.unwrap(provider.wrap(DATA_KEY, b""), b"") == DATA_KEY
    assert "VAULT_CLIENT_CERT" in said_by(provider_at(address, token, ca=ca, timeout=5.0))


@pytest.mark.parametrize("setting", ["ca", "certificate"])
@pytest.mark.parametrize("content", [None, "nonsense"])
def test_files_that_can_not_be_used(tmp_path: Path, setting: str, content: str | None) -> None:
    file = tmp_path / "file.pem"
    if content:
        file.write_text(content)
    name = {"ca": "VAULT_CACERT", "certificate": "VAULT_CLIENT_CERT"}[setting]
    with pytest.raises(ImproperlyConfigured, match=f"^{name}"):
        provider_at("https://localhost", "token", **{setting: str(file)})


def test_http_and_https_mixed_up(vault: Vault, token: str, front: Front) -> None:
    plain, secret = vault.url.replace("http:", "https:"), front().replace("https:", "http:")
    assert "no TLS there; see VAULT_ADDR" in said_by(provider_at(plain, token))
    assert "VAULT_ADDR" in said_by(provider_at(secret, token))


WRONG: dict[str, tuple[Callable[[Vault], dict[str, Any]], str]] = {
    "address": (lambda _: {"address": f"http://127.0.0.1:{free_port()}"}, "VAULT_ADDR"),
    "token": (lambda _: {"token": "hvs.Wrong0002"}, "VAULT_TOKEN"),
    "mount": (lambda _: {"mount": "elsewhere"}, "VAULT_TRANSIT_MOUNT"),
    "namespace": (lambda _: {"namespace": "elsewhere"}, "VAULT_NAMESPACE"),
    "key": (lambda _: {"keys": ["nokey"]}, "VAULT_TRANSIT_KEY"),
    "derived": (lambda _: {"keys": ["derived"]}, "derived=true"),
    "rsa": (lambda _: {"keys": ["rsa"]}, "AEAD"),
    "encrypt alone": (lambda v: {"token": v.new_token(["one"], ["encrypt"])}, "refused to decrypt"),
    "decrypt alone": (lambda v: {"token": v.new_token(["one"], ["decrypt"])}, "refused to encrypt"),
}


@pytest.mark.parametrize("what", WRONG)
def test_each_mistake_has_a_name(vault: Vault, what: str) -> None:
    vault.add_key("one")
    vault.add_key("derived", derived=True)
    vault.add_key("rsa", type="rsa-2048")
    allowed = {"token": vault.new_token(["one", "derived", "rsa"]), "keys": ["one"]}
    make, says = WRONG[what]
    provider = VaultTransit(**{"address": vault.url} | allowed | make(vault))
    with pytest.raises(KeyUnavailable, match=says):
        provider.check()


def test_a_second_vault_has_settings_of_its_own(vault: Vault) -> None:
    provider = VaultTransit(
        ["one"], name="vault2", setting="VAULT2_", address=vault.url, token="hvs.Wrong0002"
    )
    assert provider.primary == "vault2:transit/one"
    assert "VAULT2_TOKEN" in said_by(provider)
