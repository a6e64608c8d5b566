"""Options of DATABASE_URL that no connection could use are refused by name, at once."""

from pathlib import Path

import dj_database_url
import pytest
from django.core.exceptions import ImproperlyConfigured
from psycopg.pq import Conninfo

from fugata_site.settings.database_options import (
    check_postgresql,
    check_sqlite,
    prepare_threshold,
)
from tests.support.servers.service import Service


def check(url: str) -> None:
    """Check a URL as the settings do."""
    read = dj_database_url.parse(url)
    options = read.get("OPTIONS", {})
    if url.startswith("sqlite:"):
        check_sqlite(read["NAME"], options)
    else:
        check_postgresql(read["NAME"], options)
        prepare_threshold(options.get("prepare_threshold", 1))


POSTGRESQL = "postgresql://ada:hunter2@db/fugata"
SSL_MODES = "must be one of disable, allow, prefer, require, verify-ca, verify-full."
TARGETS = "must be one of any, read-write, read-only, primary, standby, prefer-standby."
THRESHOLD = "?prepare_threshold must be a whole number, or the word none"
NAMES = "is not understood; allowed are prepare_threshold, server_side_binding and those of libpq."


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"{POSTGRESQL}?foo=hunter2", f"?foo {NAMES}"),
        (f"{POSTGRESQL}?prepare_treshold=none", f"?prepare_treshold {NAMES}"),
        (f"{POSTGRESQL}?sslmod=require", f"?sslmod {NAMES}"),
        (f"{POSTGRESQL}?conn_max_age=60", f"?conn_max_age {NAMES}"),
        (f"{POSTGRESQL}?assume_role=hunter2", f"?assume_role {NAMES}"),
        (f"{POSTGRESQL}?pool=true", f"?pool {NAMES}"),
        (f"{POSTGRESQL}?isolation_level=7", f"?isolation_level {NAMES}"),
        (f"{POSTGRESQL}?autocommit=false", f"?autocommit {NAMES}"),
        (f"{POSTGRESQL}?cursor_factory=hunter2", f"?cursor_factory {NAMES}"),
        (f"{POSTGRESQL}?replication=true", f"?replication {NAMES}"),
        (f"{POSTGRESQL}?HUNTER2=1", f"what is after the ? {NAMES}"),
        ("postgresql://ada:12/x?hunter=x@db/fugata", f"what is after the ? {NAMES}"),
        (f"{POSTGRESQL}?sslmode=hunter2", f"?sslmode {SSL_MODES}"),
        (f"{POSTGRESQL}?sslmode=Require", f"?sslmode {SSL_MODES}"),
        (f"{POSTGRESQL}?sslmode=true", f"?sslmode {SSL_MODES}"),
        (f"{POSTGRESQL}?sslmode=require&sslmode=hunter2", "?sslmode is given twice."),
        (f"{POSTGRESQL}?target_session_attrs=hunter2", f"?target_session_attrs {TARGETS}"),
        (f"{POSTGRESQL}?keepalives=true", "?keepalives must be one of 0, 1."),
        (f"{POSTGRESQL}?server_side_binding=1", "?server_side_binding must be one of true, false."),
        (f"{POSTGRESQL}?connect_timeout=hunter2", "?connect_timeout must be a whole number of sec"),
        (f"{POSTGRESQL}?connect_timeout=-1", "?connect_timeout must be a whole number of seconds."),
        (f"{POSTGRESQL}?connect_timeout=1.5", "?connect_timeout must be a whole number of sec"),
        (f"{POSTGRESQL}?tcp_user_timeout=true", "?tcp_user_timeout must be a whole number."),
        (f"{POSTGRESQL}?keepalives_count=9999999999", "?keepalives_count must be a whole number."),
        (f"{POSTGRESQL}?port=5432,hunter2", "?port must be whole numbers, separated by commas"),
        (f"{POSTGRESQL}?prepare_threshold=None", THRESHOLD),
        (f"{POSTGRESQL}?prepare_threshold=off", THRESHOLD),
        (f"{POSTGRESQL}?prepare_threshold=false", THRESHOLD),
        ("postgresql://ada:hunter2@db/", "must name the database"),
        ("postgresql://ada:hunter2@db", "must name the database"),
        ("postgresql://ada:12?hunter2@db/fugata", "must name the database"),
        (f"{POSTGRESQL}{'x' * 64}", "must name the database, in at most 63 characters"),
        ("sqlite:////hunter2?timout=5", "?timout is not understood; allowed is timeout."),
        ("sqlite:////hunter2?transaction_mode=DEFERRED", "?transaction_mode is not understood"),
        ("sqlite:////hunter2?timeout=soon", "?timeout must be a whole number of seconds."),
    ],
)
def test_what_is_refused(url: str, said: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        check(url)
    sentence = str(refused.value)
    assert sentence.startswith("DATABASE_URL: ")
    assert said in sentence
    assert "hunter" not in sentence.lower()


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=verify-full&sslrootcert=/ca.pem&channel_binding=require&gssencmode=disable",
        "host=one,two&port=5432,5433&target_session_attrs=any&load_balance_hosts=random",
        "connect_timeout=0&tcp_user_timeout=1&keepalives=0&keepalives_idle=1&keepalives_count=9",
        "application_name=a%20b&options=-c%20statement_timeout%3D1s&user=a%40b&password=c%40d",
        "server_side_binding=false&prepare_threshold=none",
        "currentSchema=fugata",
        "service=fugata",
        "ssl_min_protocol_version=tlsv1.2&ssl_max_protocol_version=TLSV1.3",
    ],
)
def test_what_is_understood(query: str) -> None:
    check(f"{POSTGRESQL}?{query}")


def test_a_service_names_the_database() -> None:
    check("postgresql:///?service=fugata")


def test_sqlite_takes_a_timeout() -> None:
    check("sqlite:////fugata.sqlite3?timeout=5")


def test_sqlite_s_own_urls_are_refused() -> None:
    """SQLite would make such a file itself, with the rights that the umask leaves."""
    with pytest.raises(ImproperlyConfigured, match="must name the file by its path"):
        check("sqlite:///file:fugata.sqlite3")


def test_every_option_of_libpq_but_one_is_known() -> None:
    known = {each.keyword.decode() for each in Conninfo.get_defaults()} - {"replication"}
    for name in known:
        with pytest.raises(ImproperlyConfigured, match="twice"):
            check(f"{POSTGRESQL}?{name}=1&{name}=1")


# --- As a process reads them ---


def _options(home: Path, url: str, *names: str) -> list[str]:
    """Return what a process gives its connections for those names."""
    script = (
        "from django.db import connection; given = connection.get_connection_params();"
        f"print(*(given[name] for name in {names}))"
    )
    service = Service(home / "home", DATABASE_URL=url)
    ended = service.manage("shell", "--no-imports", "-c", script, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()


KEPT_ALIVE = ("keepalives_idle", "keepalives_interval", "keepalives_count")


@pytest.mark.processes
@pytest.mark.parametrize(
    ("query", "given"),
    [("", ["10", "5", "3"]), ("?keepalives_idle=60&keepalives_count=9", ["60", "5", "9"])],
)
def test_what_the_url_says_wins(tmp_path: Path, query: str, given: list[str]) -> None:
    assert _options(tmp_path, POSTGRESQL + query, *KEPT_ALIVE) == given


@pytest.mark.processes
@pytest.mark.parametrize(("query", "given"), [("", "30"), ("?timeout=5", "5")])
def test_what_the_url_of_sqlite_says_wins(tmp_path: Path, query: str, given: str) -> None:
    assert _options(tmp_path, f"sqlite:///{tmp_path}/db.sqlite3{query}", "timeout") == [given]


@pytest.mark.processes
@pytest.mark.parametrize("command", ["list_repositories", "prepare", "serve"])
@pytest.mark.parametrize(
    "url",
    [
        f"{POSTGRESQL}?foo=hunter2",
        "postgresql://ada:hunter2@db/",
        "postgresql://ada:hunter2@one:5432,two:5432/fugata",
        "sqlite:////hunter2?timout=5",
    ],
)
def test_each_command_says_so(tmp_path: Path, command: str, url: str) -> None:
    ended = Service(tmp_path / "home", DATABASE_URL=url).manage(command, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Fugata can't start. DATABASE_URL: ")
    assert "Traceback" not in ended.stderr
    assert "hunter2" not in ended.stderr + ended.stdout
    if "one:5432" in url:
        assert "/name?host=one,two&port=5432,5433" in ended.stderr
