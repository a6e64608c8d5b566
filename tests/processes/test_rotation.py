"""Keys change under load: no request fails, everything opens, the old key can go at the end."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import httpx
import pytest

from tests.conftest import MakeService
from tests.support.clients import stored
from tests.support.clients.keeping import Keeper, keeper
from tests.support.clients.sharing import Share, acknowledged, create, create_request, open_share
from tests.support.clients.wire import volley
from tests.support.load.ledger import Stream
from tests.support.load.secret_ledger import SecretStream
from tests.support.servers.parts import wait_until
from tests.support.servers.service import ROOT, Service
from tests.support.servers.transit import TOKEN, TransitServer
from vault_app.models import sealed_models

SHARES = "secrets_app_share"
#: Small steps, so that a run can be killed in the middle of them.
SLOWLY = ("--batch", "5", "--pause", "0.02")
AT_ONCE = 10
#: So many shares and secrets at least wait while keys change; nobody opens them before the end.
FEWEST = 150


def _fill(service: Service, count: int) -> list[Share]:
    """Share `count` secrets."""
    made: list[Share] = []
    while len(made) < count:
        contents = [f"content {len(made) + n}" for n in range(min(AT_ONCE, count - len(made)))]
        answers = volley(service.port, [create_request(content) for content in contents])
        made += map(acknowledged, answers, contents)
    return made


def _keep(keep: Keeper, count: int) -> dict[str, str]:
    """Set `count` secrets of a repository."""
    values = {f"waits-{number}": f"value {number}" for number in range(count)}
    requests = [keep.set_request(key, value) for key, value in values.items()]
    for start in range(0, count, AT_ONCE):
        answers = volley(keep.port, requests[start : start + AT_ONCE])
        assert {answer.status for answer in answers} == {201}
    return values


def _read_all(keep: Keeper, values: dict[str, str]) -> None:
    """Read each of `values`, and see that it is what was set."""
    for key, value in values.items():
        assert keep.read(key).json() == {"secret_value": value}


def _open_all(service: Service, shares: list[Share]) -> None:
    """Open each of `shares`, and see that it holds what was put into it."""
    with httpx.Client(base_url=service.url, timeout=60) as client:
        for share in shares:
            answer = client.get(f"/secrets/{share.id}")
            assert (answer.status_code, answer.json()["content"]) == (200, share.content)


def _primary(service: Service) -> str:
    return (service.home / "keyring").read_text().partition(":")[0]


def _under(service: Service, key: str) -> int:
    return stored.count(service, SHARES, "key_id = ?", key)


def _start(service: Service, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a command and return while it runs."""
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=service.environment,
        stdout=subprocess.DEVNULL,
    )


def _told(service: Service, *arguments: str) -> dict[str, Any]:
    ended = service.manage(*arguments, "--json", check=False)
    assert ended.returncode == 0, ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def _in_their_order() -> list[str]:
    """Return the tables of shares and of repository secrets in the order of their re-wrapping."""
    return [model._meta.db_table for model in sealed_models()]


def _kill_in_the_middle(
    service: Service, command: subprocess.Popen[bytes], old: str, table: str = SHARES
) -> None:
    """Kill the command with -9 once it has re-wrapped some of the rows that wait, not all."""
    begun = _old_ones_under(service, old, table)
    wait_until(lambda: _old_ones_under(service, old, table) < begun, "progress", seconds=90)
    command.send_signal(signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL
    assert _old_ones_under(service, old, table) > 0


def _old_ones_under(service: Service, key: str, table: str) -> int:
    """Return how many of the rows that were there first, and are left alone, are under `key`."""
    return stored.count(service, table, "key_id = ? AND id <= ?", key, FEWEST)


def _retire(service: Service, key: str) -> None:
    """Retire the key as its refusals say: re-wrap what came late, and try again."""

    def retired() -> bool:
        service.manage("rewrap_keys")
        return service.manage("retire_key", key, check=False).returncode == 0

    wait_until(retired, "the retirement", seconds=90)


@pytest.mark.soak
def test_rotation_under_load_killed_and_resumed(
    make_service: MakeService, any_database: str, rounds: int
) -> None:
    service = make_service(any_database, redis=True, WEB_CONCURRENCY="3")
    old = _primary(service)
    waiting, keep = _fill(service, max(10 * rounds, FEWEST)), keeper(service)
    values = _keep(keep, max(rounds, FEWEST))
    with Stream(service, threads=3) as stream, SecretStream(service, keep, threads=2) as sets:
        stream.await_more(50)
        for table in _in_their_order():
            _kill_in_the_middle(service, _start(service, "rotate_key", *SLOWLY), old, table)
        new = _primary(service)
        _kill_in_the_middle(service, _start(service, "rotate_key", *SLOWLY), old, table)
        stream.await_more(50)
        answer = _told(service, "rotate_key")
        assert (answer["new_key"], answer["primary"], answer["left"]) == (None, new, 0)
        stream.await_more(50)
        _retire(service, old)
        stream.await_more(100)
        sets.await_more(20)
    assert not stream.in_flight, "no request broke"
    _open_all(service, waiting)
    _read_all(keep, values)
    stream.settle()
    sets.settle()
    keys = _told(service, "list_keys")["keys"]
    assert [(key["id"], key["primary"]) for key in keys] == [(new, True)]
    last = create(service.port, "after all")
    service.stop()
    service.start()
    assert open_share(service.port, last).json()["content"] == "after all"


def test_rotation_in_the_background(make_service: MakeService, any_database: str) -> None:
    """The worker does it, and goes on after it was killed."""
    service = make_service(any_database)
    old = _primary(service)
    waiting = _fill(service, 100)
    with Stream(service, threads=2) as stream:
        answer = _told(service, "rotate_key", "--background")
        assert answer["new_key"] == _primary(service)
        wait_until(lambda: _under(service, old) == 0, "the worker", seconds=90)
        stream.await_more(20)
    _open_all(service, waiting)
    stream.settle()


def test_several_rotations_at_once(make_service: MakeService, any_database: str) -> None:
    """They follow each other; no key is lost, and the service follows all of them."""
    service = make_service(any_database)
    waiting = _fill(service, 50)
    with Stream(service, threads=2) as stream:
        commands = [_start(service, "rotate_key") for _ in range(3)]
        assert [command.wait(timeout=120) for command in commands] == [0, 0, 0]
        service.manage("rewrap_keys")
        stream.await_more(20)
    listed = {key["id"]: key["needed_by"] for key in _told(service, "list_keys")["keys"]}
    in_file = [line.partition(":")[0] for line in (service.home / "keyring").read_text().split()]
    assert set(listed) == set(in_file)
    assert listed[in_file[0]] == sum(listed.values())
    _open_all(service, waiting)
    stream.settle()


def test_a_rotation_of_another_database_loses_no_key(make_service: MakeService) -> None:
    """DATABASE_URL was forgotten: a new SQLite, with the keyring of the same FUGATA_HOME."""
    service = make_service("postgresql")
    old, keep = _primary(service), keeper(service)
    values, other = _keep(keep, 3), Service(service.home)
    other.manage("prepare")
    other.manage("rotate_key")
    _retire(other, old)
    keyring = service.home / "keyring"
    assert old not in keyring.read_text()
    with keyring.open("a") as file:
        file.write((service.home / "keyring.retired").read_text())
    _read_all(keep, values)
    service.manage("prepare")  # the new primary is none of this database's yet
    assert keep.set("after-all", "value").status == 201
    assert "the keys are at hand" in service.manage("fsck").stdout


# --- Vault ---------------------------------------------------------------------------------------


def _vault(server: TransitServer) -> dict[str, str]:
    access = {"VAULT_ADDR": server.url, "VAULT_TOKEN": TOKEN, "VAULT_TRANSIT_KEY": "fugata"}
    return access | {"KMS_PROVIDER": "vault"}


@pytest.mark.soak
def test_a_move_to_vault_under_load(
    make_service: MakeService, any_database: str, rounds: int
) -> None:
    """As docs/keys.md says: both set up, then Vault wraps, then everything moves."""
    with TransitServer("fugata") as server:
        service = make_service(any_database, redis=True, WEB_CONCURRENCY="2")
        old = _primary(service)
        waiting = _fill(service, max(5 * rounds, FEWEST))
        service.stop()
        service.settings |= _vault(server)
        service.start()
        command = ("migrate_keys", "--from", "local", "--to", "vault")
        with Stream(service) as stream:
            stream.await_more(20)
            _kill_in_the_middle(service, _start(service, *command, *SLOWLY), old)
            answer = _told(service, *command)
            assert (answer["left"], answer["retirable"]) == (0, [old])
            stream.await_more(20)
            _retire(service, old)
            stream.await_more(20)
        assert not stream.in_flight, "no request broke"
        _open_all(service, waiting[::2])
        stream.settle()
        os.remove(service.home / "keyring")
        service.stop()
        service.start()
        _open_all(service, waiting[1::2])
        assert _told(service, "list_keys")["keys"][0]["id"] == "vault:transit/fugata"
        service.stop()


def test_a_wrong_vault_does_not_start(make_service: MakeService) -> None:
    """A token, a key or a place that is wrong is found before any request is served."""
    with TransitServer("fugata") as server:
        wrong = [
            ({"VAULT_TOKEN": "hvs.Wrong0002"}, "VAULT_TOKEN"),
            ({"VAULT_TRANSIT_KEY": "nokey"}, "VAULT_TRANSIT_KEY"),
            ({"VAULT_TRANSIT_MOUNT": "elsewhere"}, "VAULT_TRANSIT_MOUNT"),
            ({"VAULT_ADDR": "http://127.0.0.1:1"}, "VAULT_ADDR"),
        ]
        for settings, named in wrong:
            service = make_service(start=False)
            service.settings |= _vault(server) | settings
            service.start(wait=False)
            assert service.process is not None
            assert service.process.wait(timeout=60) != 0
            assert named in service.logged()
            assert "hvs." not in service.logged()
            assert service.tracebacks() == []
