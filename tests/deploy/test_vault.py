"""The keys in Vault: the component of Kubernetes, and the file that goes over compose.yaml."""

import importlib.util
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import Require
from tests.support.servers.kubernetes import Json
from tests.support.servers.kustomize import one, overlay, pods, with_component
from tests.support.servers.parts import PostgresqlServer, RedisServer
from tests.support.servers.pods import COMPOSE_VAULT, compose, merged
from tests.support.servers.service import ROOT
from tests.support.servers.tls import authority
from tests.support.servers.transit import TransitServer

OURS = ("web", "worker", "beat", "migrate")
Files = dict[str, str]


@pytest.fixture
def transit() -> Iterator[TransitServer]:
    """A Vault with the key that both name."""
    with TransitServer("fugata") as server:
        yield server


@pytest.fixture
def run(
    postgresql: PostgresqlServer, redis_server: RedisServer, tmp_path: Path
) -> Callable[[Mapping[str, str], Files], Json]:
    """Return a function that prepares with settings, and returns the primary key."""
    files = {
        "DATABASE_URL": postgresql.new_database(),
        "REDIS_URL": redis_server.url(),
        "SECRET_KEY": secrets.token_hex(32),
        "AUDIT_KEY": secrets.token_hex(32),
    }

    def primary(settings: Mapping[str, str], more: Files) -> Json:
        given = dict(settings) | {"VALUE_STORE": "database", "FUGATA_HOME": str(tmp_path)}
        for name, text in (files | more).items():
            (tmp_path / name).write_text(text)
            given[f"{name}_FILE"] = str(tmp_path / name)
        _manage(given, "prepare")
        (key,) = json.loads(_manage(given, "list_keys", "--json"))["keys"]
        found: Json = key
        return found

    return primary


def _manage(settings: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | {name: str(each) for name, each in settings.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- Kubernetes ---


@pytest.fixture
def objects(kubernetes: object, tmp_path: Path) -> tuple[Json, ...]:
    """The small overlay with the component."""
    (tmp_path / "overlay").mkdir()
    return with_component("small", "vault", tmp_path / "overlay")


def test_every_container_has_token_and_authority(objects: tuple[Json, ...]) -> None:
    settings = one(objects, "ConfigMap", "fugata")["data"]
    mount = {"name": "vault", "mountPath": "/run/secrets/vault", "readOnly": True}
    for name, spec in pods(objects).items():
        (volume,) = [each for each in spec["volumes"] if each["name"] == "vault"]
        token, certificate = volume["projected"]["sources"]
        path = f"{mount['mountPath']}/{token['serviceAccountToken']['path']}"
        assert settings["VAULT_JWT_FILE"] == path, name
        assert token["serviceAccountToken"]["audience"] == "vault", name
        assert certificate["configMap"]["name"] == "vault-ca", name
        for container in spec["containers"] + spec.get("initContainers", []):
            assert mount in container["volumeMounts"], f"{name}/{container['name']}"
    assert settings["VAULT_CACERT"] == "/run/secrets/vault/ca.crt"


def test_nothing_else_goes_out_than_to_vault(objects: tuple[Json, ...]) -> None:
    before = {each["metadata"]["name"] for each in overlay("small")}
    (policy,) = [
        each
        for each in objects
        if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] not in before
    ]
    (rule,) = policy["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8200}]
    (there,) = rule["to"]
    assert there["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "vault"}
    assert set(policy["spec"]) == {"podSelector", "policyTypes", "egress"}


def test_its_settings_prepare_without_a_keyring(
    objects: tuple[Json, ...], transit: TransitServer, run: Callable[..., Json], tmp_path: Path
) -> None:
    settings = one(objects, "ConfigMap", "fugata")["data"]
    certificate, _ = authority(tmp_path / "authority")
    transit.kubernetes_role(settings["VAULT_ROLE"], ["fugata"], "projected-token")
    given = settings | {"VAULT_ADDR": transit.url, "VAULT_CACERT": str(certificate)}
    assert run(given, {"VAULT_JWT": "projected-token"})["id"] == "vault:transit/fugata"


# --- compose ---


@pytest.fixture
def whole() -> Json:
    """What Compose makes of both files."""
    variables = {"VAULT_ADDR": "https://vault.example.com:8200", "VAULT_ROLE_ID": "role"}
    made: Json = merged(compose(), compose(COMPOSE_VAULT, **variables))
    return made


def test_its_schema(whole: Json, require: Require) -> None:
    require("compose-spec (from PyPI)", importlib.util.find_spec("compose_spec"))
    import compose_spec

    plain = {name: part for name, part in whole.items() if name != "x-vault"}
    found = compose_spec.PyCompose.from_json(json.dumps(plain)).to_spec()
    assert set(found.services or {}) == {*OURS, "proxy", "db", "redis"}


def test_each_of_our_services_reaches_vault(whole: Json) -> None:
    assert not whole["networks"]["vault"]
    for name, service in whole["services"].items():
        assert ("vault" in service["networks"]) == (name in OURS), name
    for name in OURS:
        service = whole["services"][name]
        for setting in ("VAULT_SECRET_ID_FILE", "VAULT_CACERT"):
            assert Path(service["environment"][setting]).name in service["secrets"], name
        assert set(service["secrets"]) <= set(whole["secrets"])
        assert not {"VAULT_SECRET_ID", "VAULT_TOKEN"} & set(service["environment"])
        assert service["environment"]["FUGATA_KEYS_FILE"] == ""
    assert all(each["file"].startswith("./secrets/") for each in whole["secrets"].values())


def test_a_keyring_may_stay_for_a_move() -> None:
    kept = compose(COMPOSE_VAULT, FUGATA_KEYS_FILE="/run/secrets/fugata_keys")
    given = kept["services"]["web"]["environment"]["FUGATA_KEYS_FILE"]
    assert given == compose()["services"]["web"]["environment"]["FUGATA_KEYS_FILE"]


def test_settings_of_both_files_prepare_without_a_keyring(
    whole: Json, transit: TransitServer, run: Callable[..., Json], tmp_path: Path
) -> None:
    settings = whole["services"]["migrate"]["environment"]
    certificate, _ = authority(tmp_path / "authority")
    role, secret = transit.approle(["fugata"])
    given = settings | {"VAULT_ADDR": transit.url, "VAULT_CACERT": str(certificate)}
    found = run(given | {"VAULT_ROLE_ID": role}, {"VAULT_SECRET_ID": secret})
    assert found["id"] == "vault:transit/fugata"


@pytest.mark.parametrize(("provider", "is_over"), [("", False), ("local", False), ("vault", True)])
def test_one_command_takes_both(tmp_path: Path, provider: str, is_over: bool) -> None:
    deploy = tmp_path / "deploy"
    shutil.copytree(ROOT / "deploy", deploy, ignore=shutil.ignore_patterns("secrets"))
    (tmp_path / "docker").write_text('#!/bin/sh\necho "$*"\n')
    (tmp_path / "docker").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "KMS_PROVIDER": provider}
    said = subprocess.run(
        [deploy / "up.sh"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    over = "compose --file compose.yaml --file compose.vault.yaml up" in said
    assert over == is_over
    assert ("without fugata_keys" in said) != is_over
