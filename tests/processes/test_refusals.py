"""What can't work does not start: one sentence names the setting and says what to do."""

import socket

import pytest

from tests.conftest import MakeService
from tests.support.clients.sharing import create, open_share
from tests.support.servers.service import Service

WRONG = [
    ("PORT", "http"),
    ("PORT", "65536"),
    ("MAX_SECRET_SIZE", "10MB"),
    ("TTL_PRESETS", "5m,forever"),
    ("RATE_LIMIT_RPM", "0"),
    ("TRUSTED_PROXIES", "proxy.example"),
    ("DATABASE_URL", "mysql://localhost/x"),
    ("PUBLIC_URL", "secrets.example.com"),
    ("WEB_CONCURRENCY", "many"),
    ("WEB_THREADS", "1"),
    ("VALUE_STORE", "cupboard"),
    ("KMS_PROVIDER", "fugata_site.nothing.Here"),
    ("FUGATA_KEYS", "k1:c2hvcnQ="),
    ("FUGATA_KEYS_FILE", "/nonexistent/keyring"),
    ("DEBUG", "perhaps"),
]


def _refusal(service: Service) -> str:
    """Start the service, which must refuse, and return what it says."""
    service.start(wait=False)
    assert service.process is not None
    assert service.process.wait(timeout=60) != 0
    return service.logged()


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_setting_is_named(make_service: MakeService, name: str, value: str) -> None:
    service = make_service(start=False)
    service.settings[name] = value
    said = _refusal(service)
    assert name.removesuffix("_FILE") in said.strip().splitlines()[-1] or f"{name}:" in said
    assert "c2hvcnQ=" not in said, "the value is not repeated: it may be a secret"


def test_several_processes_without_redis(make_service: MakeService) -> None:
    said = _refusal(make_service(start=False, WEB_CONCURRENCY="2"))
    assert "WEB_CONCURRENCY" in said
    assert "REDIS_URL" in said


def test_a_lost_keyring(make_service: MakeService, any_database: str) -> None:
    """No new key is made, nothing is served, and with the file back all opens again."""
    service = make_service(any_database)
    share = create(service.port, "sealed")
    service.stop()
    keyring = service.home / "keyring"
    hidden = keyring.rename(service.home.parent / "hidden")
    service.log.unlink()
    said = _refusal(service)
    assert str(keyring) in said
    assert "Restore it" in said
    assert "Traceback" not in said
    assert not keyring.exists()
    hidden.rename(keyring)
    service.start()
    assert open_share(service.port, share).json()["content"] == "sealed"


def test_another_keyring(make_service: MakeService) -> None:
    """A keyring of other keys, under another id or the same, is refused."""
    service = make_service()
    service.stop()
    service.log.unlink()
    name = (service.home / "keyring").read_text().partition(":")[0]
    for key_id in ("other", name):
        service.settings["FUGATA_KEYS"] = f"{key_id}:{'A' * 43}="
        assert "FUGATA_KEYS" in _refusal(service)
        assert "A" * 43 not in service.logged()
    del service.settings["FUGATA_KEYS"]
    service.start()


def test_the_port_is_taken(make_service: MakeService) -> None:
    service = make_service(start=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", service.port))
        taken.listen()
        said = _refusal(service)
    assert str(service.port) in said
    assert "in use" in said
    assert "Traceback" not in said


def test_the_database_is_not_there(make_service: MakeService) -> None:
    url = "postgresql://nobody:hunter2@127.0.0.1:1/nothing"
    said = _refusal(make_service(start=False, DATABASE_URL=url))
    assert "DATABASE_URL" in said
    assert "hunter2" not in said
