"""What is fit for one machine is refused in production, by name and with a remedy."""

from pathlib import Path

import pytest

from tests.fugata_site.settings.test_settings import IN_CLUSTER, PRODUCTION, manage

pytestmark = pytest.mark.processes

SHARED = PRODUCTION | {"SECRET_KEY": "s" * 60, "AUDIT_KEY": "a" * 60, "REPLICAS": "3"}
WITHOUT = ("SECRET_KEY", "AUDIT_KEY", "FUGATA_KEYS")


def test_several_replicas_with_all_they_need(tmp_path: Path) -> None:
    ended = manage(
        tmp_path,
        "check",
        "--deploy",
        "--fail-level=WARNING",
        **SHARED | {"SECRET_KEY": "aB3$x" * 20},
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", WITHOUT)
def test_generated_keys_of_several_replicas(tmp_path: Path, name: str) -> None:
    ended = manage(tmp_path, "check", **{k: v for k, v in SHARED.items() if k != name})
    assert ended.returncode != 0
    assert f"(fugata.E010) {name}:" in ended.stderr
    assert f"Set {name}, or {name}_FILE" in ended.stderr
    assert ended.stderr.count("fugata.E") == 1


def test_a_generated_keyring_in_a_cluster(tmp_path: Path) -> None:
    settings = PRODUCTION | IN_CLUSTER | {"FUGATA_KEYS": "", "AUDIT_KEY": "a" * 60}
    ended = manage(tmp_path, "check", **settings)
    assert ended.returncode != 0
    assert "(fugata.E010) FUGATA_KEYS:" in ended.stderr


def test_sqlite_of_several_replicas(tmp_path: Path) -> None:
    ended = manage(tmp_path, "check", **SHARED | {"DATABASE_URL": ""})
    assert ended.returncode != 0
    assert "(fugata.E011) DATABASE_URL:" in ended.stderr
    assert "postgresql://user:password@host/name" in ended.stderr


def test_memory_buckets_of_several_replicas(tmp_path: Path) -> None:
    ended = manage(tmp_path, "check", **SHARED | {"REDIS_URL": "", "WEB_CONCURRENCY": "1"})
    assert ended.returncode != 0
    assert "(fugata.E001) REPLICAS:" in ended.stderr


OTHERS_REACH_IT = [
    {"PUBLIC_URL": "https://secrets.example.com"},
    PRODUCTION | IN_CLUSTER | {"AUDIT_KEY": "a" * 60, "PUBLIC_URL": ""},
    SHARED | {"PUBLIC_URL": ""},
]


@pytest.mark.parametrize("production", OTHERS_REACH_IT, ids=["https", "cluster", "replicas"])
@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"DEBUG": "true"}, "fugata.E012"), ({"ALLOWED_HOSTS": "*"}, "fugata.E013")],
    ids=["DEBUG", "ALLOWED_HOSTS"],
)
def test_what_is_for_development(
    tmp_path: Path, production: dict[str, str], wrong: dict[str, str], code: str
) -> None:
    (name,) = wrong
    ended = manage(tmp_path, "check", **production | wrong)
    assert ended.returncode != 0
    assert f"({code}) {name}:" in ended.stderr
    assert f"Remove {name}" in ended.stderr
    assert manage(tmp_path, "check", **wrong).returncode == 0


def test_web_processes_refuse_to_start(tmp_path: Path) -> None:
    ended = manage(tmp_path, "serve", PUBLIC_URL="https://secrets.example.com", DEBUG="true")
    assert ended.returncode != 0
    assert "fugata.E012" in ended.stderr


def test_a_static_root_without_files(tmp_path: Path) -> None:
    root = {"STATIC_ROOT": str(tmp_path / "static")}
    ended = manage(tmp_path, "check", **root)
    assert ended.returncode != 0
    assert "(fugata.E014) STATIC_ROOT:" in ended.stderr
    assert manage(tmp_path, "collectstatic", "--no-input", **root).returncode == 0
    assert manage(tmp_path, "check", **root).returncode == 0


def test_tls_that_somebody_else_ends(tmp_path: Path) -> None:
    alone = {"PUBLIC_URL": "https://secrets.example.com"}
    warned = manage(tmp_path, "check", "--deploy", **alone)
    assert "(fugata.W010) TRUSTED_PROXIES:" in warned.stderr
    named = manage(tmp_path, "check", "--deploy", **alone | {"TRUSTED_PROXIES": "10.0.0.0/20"})
    assert "fugata.W01" not in named.stderr


def test_trust_in_more_than_proxies(tmp_path: Path) -> None:
    wide = {"TRUSTED_PROXIES": "192.0.2.1,10.0.0.0/8"}
    warned = manage(tmp_path, "check", "--deploy", **wide)
    assert warned.stderr.count("(fugata.W011) TRUSTED_PROXIES: 10.0.0.0/8 has room") == 1


@pytest.mark.parametrize(
    ("network", "is_wide"),
    [("10.0.0.0/19", True), ("10.0.0.0/20", False), ("fd00::/64", True), ("fd00::1/128", False)],
)
def test_how_wide_a_network_of_proxies_may_be(tmp_path: Path, network: str, is_wide: bool) -> None:
    warned = manage(tmp_path, "check", "--deploy", TRUSTED_PROXIES=network)
    assert ("fugata.W011" in warned.stderr) is is_wide
