"""Settings as a process reads them: a wrong one stops it by name and is never repeated."""

import base64
import re
import stat
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.servers.service import Service

#: Each starts a process of its own, whatever the database in use.
pytestmark = pytest.mark.processes

SECRET = "hunter2hunter2"
KEY = base64.b64encode(b"k" * 32).decode()
PRODUCTION = {
    "PUBLIC_URL": "https://secrets.example.com",
    "DATABASE_URL": "postgresql://fugata:pw@db.example/fugata",
    "REDIS_URL": "redis://redis.example/0",
    "FUGATA_KEYS": f"one:{KEY}",
    "TRUSTED_PROXIES": "10.0.0.0/24",
}


def manage(home: Path, *arguments: str, **settings: str) -> CompletedProcess[str]:
    return Service(home / "home", **settings).manage(*arguments, check=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("DEBUG", "perhaps"),
        ("PUBLIC_URL", "secrets.example.com"),
        ("PUBLIC_URL", "ftp://secrets.example.com"),
        ("PUBLIC_URL", "https://secrets.example.com/path"),
        ("PUBLIC_URL", "https://secrets.example.com?x=1"),
        ("PUBLIC_URL", "https://secrets.example.com#x"),
        ("PUBLIC_URL", "https://secrets.example.com:99999"),
        ("PUBLIC_URL", "https://user:hunter2hunter2@secrets.example.com"),
        ("PUBLIC_URL", "https://[::1"),
        ("ALLOWED_HOSTS", "https://secrets.example.com"),
        ("ALLOWED_HOSTS", "secrets.example.com:8080"),
        ("TRUSTED_PROXIES", "proxy.example"),
        ("ALLOWED_ORIGINS", "app.example.com"),
        ("TTL_PRESETS", "soon"),
        ("TTL_PRESETS", ","),
        ("MAX_SECRET_SIZE", "10MB"),
        ("MAX_SECRET_SIZE", "0"),
        ("RATE_LIMIT_RPM", "0"),
        ("RATE_LIMIT_BURST", "-1"),
        ("REDIS_TIMEOUT_MS", "0"),
        ("WEB_THREADS", "1"),
        ("LOG_FORMAT", "xml"),
        ("METRICS_PORT", "65536"),
        ("METRICS_TOKEN", "hunter2hunter2"),
        ("METRICS_TOKEN", "hunter2hunter2 hunter2"),
        ("WEB_CONCURRENCY", "2"),
        ("DATABASE_URL", "mysql://fugata:hunter2hunter2@db/fugata"),
        ("DATABASE_URL", "hunter2hunter2"),
        ("DATABASE_URL", "postgresql://fugata:hunter2hunter2#x@db/fugata"),
        ("DATABASE_URL", "postgresql://fugata:pw@db:hunter2hunter2/fugata"),
        ("DATABASE_URL", "postgresql://db/fugata?prepare_threshold=hunter2hunter2"),
        ("DATABASE_URL", "postgresql://db/fugata?prepare_threshold=-1"),
        ("DATABASE_URL", "postgresql://db/fugata?prepare_threshold=true"),
        ("REDIS_URL", "hunter2hunter2"),
        ("REDIS_URL", "http://:hunter2hunter2@redis/0"),
        ("REDIS_URL", "redis://:pw@redis:hunter2hunter2/0"),
        ("FUGATA_KEYS", "hunter2hunter2"),
        ("FUGATA_KEYS", "one:hunter2hunter2"),
        ("SECRET_KEY_FILE", "/nowhere/hunter2hunter2"),
        ("SECRET_KEY", "hunter2hunter2"),
        ("AUDIT_KEY", "hunter2hunter2"),
        ("AUDIT_WEBHOOK_URL", "hunter2hunter2"),
        ("AUDIT_RETENTION", "long"),
        ("TOKEN_RATE_LIMIT_RPM", "0"),
        ("WEB_THREADS", "3"),
        ("QUOTA_SHARES_PER_CLIENT", "-1"),
        ("QUOTA_BYTES_PER_CLIENT", "10MB"),
        ("QUOTA_SHARES_TOTAL", "many"),
        ("QUOTA_BYTES_TOTAL", "1.5"),
        ("CREATE_ALLOWED_FROM", "office"),
        ("CREATE_ALLOWED_FROM", "10.0.0.1/8"),
        ("CREATE_REQUIRES_LOGIN", "perhaps"),
        ("FORCE_ONE_TIME", "perhaps"),
        ("VALUE_STORE", "nowhere.Store"),
        ("VALUE_STORE", "kept_elsewhere"),
        ("KMS_PROVIDER", "nowhere.Provider"),
    ],
)
def test_a_wrong_value(tmp_path: Path, name: str, value: str) -> None:
    ended = manage(tmp_path, "check", **{name: value})
    assert ended.returncode != 0
    assert re.search(rf"\b{name.removesuffix('_FILE')}:", ended.stderr), "names the setting"
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout


@pytest.mark.parametrize("name", ["SECRET_KEY", "FUGATA_KEYS", "DATABASE_URL", "REDIS_URL"])
def test_a_secret_setting_reads_a_file(tmp_path: Path, name: str) -> None:
    values = PRODUCTION | {"SECRET_KEY": "s" * 60}
    (tmp_path / "file").write_text(values[name] + "\n")
    settings = {f"{name}_FILE": str(tmp_path / "file")}
    script = f"from django.conf import settings; print(settings.{_setting(name)})"
    ended = manage(tmp_path, "shell", "--no-imports", "-c", script, **settings)
    assert ended.returncode == 0, ended.stderr
    expected = {"DATABASE_URL": "db.example"}.get(name, values[name])
    assert expected in ended.stdout


@pytest.mark.parametrize("name", ["SECRET_KEY", "FUGATA_KEYS", "DATABASE_URL", "REDIS_URL"])
def test_an_empty_file_is_no_default(tmp_path: Path, name: str) -> None:
    """A secret that was not mounted must not be replaced by a generated one."""
    (tmp_path / "file").touch()
    ended = manage(tmp_path, "check", **{f"{name}_FILE": str(tmp_path / "file")})
    assert ended.returncode != 0
    assert f"{name}: " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "home" / "keyring").exists()


@pytest.mark.parametrize("name", ["C#", "what?", "100%20", "plain folder"])
def test_a_home_of_any_name(tmp_path: Path, name: str) -> None:
    """All state is in the folder, whatever it is called, and for its owner alone."""
    home = tmp_path / name
    ended = Service(home).manage("prepare", check=False)
    assert ended.returncode == 0, ended.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    for kept in ("fugata.sqlite3", "keyring", "secret_key"):
        assert stat.S_IMODE((home / kept).stat().st_mode) == 0o600


def test_a_home_that_takes_no_file(tmp_path: Path) -> None:
    for home in (Path("/dev/null"), Path("/proc")):
        ended = Service(tmp_path, FUGATA_HOME=str(home)).manage("check", check=False)
        assert ended.returncode != 0
        assert "FUGATA_HOME: " in ended.stderr
        assert "Traceback" not in ended.stderr


def test_ctrl_c_before_there_is_anything_to_end(tmp_path: Path) -> None:
    ended = manage(tmp_path, "shell", "--no-imports", "-c", "raise KeyboardInterrupt")
    assert ended.returncode == 130
    assert "Traceback" not in ended.stderr


def test_how_sqlite_keeps_its_promises(tmp_path: Path) -> None:
    """WAL, every commit on the disk, deleted rows overwritten, one writer at a time (design)."""
    script = (
        "from django.db import connection as c\n"
        "def ask(name): return c.cursor().execute(f'PRAGMA {name}').fetchone()[0]\n"
        "print(ask('journal_mode'), ask('synchronous'), ask('secure_delete'), c.transaction_mode)"
    )
    ended = manage(tmp_path, "shell", "--no-imports", "-c", script)
    assert ended.stdout.split() == ["wal", "2", "1", "IMMEDIATE"], ended.stderr


def _setting(name: str) -> str:
    return "DATABASES" if name == "DATABASE_URL" else name


def test_several_processes_need_redis(tmp_path: Path) -> None:
    alone = manage(tmp_path, "check", WEB_CONCURRENCY="2")
    assert alone.returncode != 0
    assert "fugata.E001" in alone.stderr
    assert "REDIS_URL" in alone.stderr
    together = manage(tmp_path, "check", WEB_CONCURRENCY="2", REDIS_URL="redis://localhost/0")
    assert together.returncode == 0, together.stderr


IN_CLUSTER = {
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "SECRET_KEY": "s" * 60,
    "AUDIT_KEY": "a" * 60,
    "AUDIT_HEAD_CONFIGMAP": "audit-head",
}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (IN_CLUSTER, "DATABASE_URL"),
        (IN_CLUSTER | {"DATABASE_URL": "sqlite:///x.sqlite3"}, "DATABASE_URL"),
        (PRODUCTION | {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "SECRET_KEY"),
    ],
)
def test_what_would_vanish_with_the_pod(
    tmp_path: Path, settings: dict[str, str], named: str
) -> None:
    ended = manage(tmp_path, "check", **settings)
    assert ended.returncode != 0
    assert f"{named}: must" in ended.stderr
    assert not (tmp_path / "home" / "secret_key").exists()


def test_a_pod_with_all_it_needs(tmp_path: Path) -> None:
    ended = manage(tmp_path, "check", **PRODUCTION | IN_CLUSTER)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("more", [{}, {"SECRET_KEY": "aB3$x" * 20}], ids=["generated", "given"])
def test_check_deploy_is_clean_in_production(tmp_path: Path, more: dict[str, str]) -> None:
    ended = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION, **more)
    assert ended.returncode == 0, ended.stderr
    assert "WARNINGS" not in ended.stderr


def test_a_fresh_default_checks_clean(tmp_path: Path) -> None:
    ended = manage(tmp_path, "check", "--fail-level", "WARNING")
    assert ended.returncode == 0, ended.stderr


def test_generate_key_makes_what_fugata_keys_takes(tmp_path: Path) -> None:
    ring = manage(tmp_path, "generate_key").stdout.strip()
    ended = manage(tmp_path, "prepare", FUGATA_KEYS=ring)
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "home" / "keyring").exists()


@pytest.mark.parametrize("command", ["list_repositories", "rewrap_keys", "fsck"])
def test_a_command_before_prepare(tmp_path: Path, command: str) -> None:
    ended = manage(tmp_path, command)
    assert ended.returncode == 1
    assert "python manage.py prepare" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_prepare_with_a_lost_keyring_refuses(tmp_path: Path) -> None:
    assert manage(tmp_path, "prepare").returncode == 0
    keyring = tmp_path / "home" / "keyring"
    keyring.unlink()
    for arguments in (["prepare"], ["prepare", "--check-only"]):
        ended = manage(tmp_path, *arguments)
        assert ended.returncode != 0
        assert str(keyring) in ended.stderr
        assert "Traceback" not in ended.stderr
        assert not keyring.exists()


def test_check_only_refuses_an_empty_database(tmp_path: Path) -> None:
    ended = manage(tmp_path, "prepare", "--check-only")
    assert ended.returncode != 0
    assert "python manage.py prepare" in ended.stderr


@pytest.mark.parametrize(
    "command", ["prepare", "rewrap_keys", "list_repositories", "audit verify", "purge_expired"]
)
def test_a_command_without_its_database(tmp_path: Path, command: str) -> None:
    settings = PRODUCTION | {"DATABASE_URL": f"postgresql://fugata:{SECRET}@127.0.0.1:1/fugata"}
    ended = manage(tmp_path, *command.split(), **settings)
    assert ended.returncode == 1
    assert "DATABASE_URL" in ended.stderr
    assert SECRET not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("query", "threshold", "server"),
    [
        ("", "1", "read-write"),
        ("?prepare_threshold=0", "0", "read-write"),
        ("?prepare_threshold=none", "None", "any"),
        ("?prepare_threshold=none&target_session_attrs=primary", "None", "primary"),
        ("?target_session_attrs=any", "1", "any"),
    ],
)
def test_what_a_database_url_says_of_connections(
    tmp_path: Path, query: str, threshold: str, server: str
) -> None:
    script = (
        "from django.db import connection; given = connection.get_connection_params();"
        "print(given['prepare_threshold'], given['target_session_attrs'])"
    )
    url = f"postgresql://fugata:pw@db.example/fugata{query}"
    ended = manage(tmp_path, "shell", "--no-imports", "-c", script, DATABASE_URL=url)
    assert ended.stdout.split() == [threshold, server], ended.stderr


@pytest.mark.parametrize("address", ["one,two:5433/fugata", "/fugata?host=one,two&port=5433"])
def test_a_database_url_may_name_several_servers(tmp_path: Path, address: str) -> None:
    script = (
        "from django.db import connection; given = connection.get_connection_params();"
        "print(given['host'], given['port'])"
    )
    url = f"postgresql://fugata:pw@{address}"
    ended = manage(tmp_path, "shell", "--no-imports", "-c", script, DATABASE_URL=url)
    assert ended.stdout.split() == ["one,two", "5433"], ended.stderr
