"""The database."""

from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

from fugata_site.settings.database_options import (
    check_postgresql,
    check_sqlite,
    prepare_threshold,
)
from fugata_site.settings.environment import env, read, whole_number
from fugata_site.settings.home import FUGATA_HOME, IN_CLUSTER

_SQLITE = f"sqlite:///{quote(str(FUGATA_HOME))}/fugata.sqlite3"  # a folder may be named C#
DATABASES = {"default": read("DATABASE_URL", env.dj_db_url, _SQLITE)}
_database = DATABASES["default"]
_database["CONN_MAX_AGE"] = None
_options = _database.setdefault("OPTIONS", {})
if _database["ENGINE"] == "django.db.backends.sqlite3":
    if IN_CLUSTER:
        raise ImproperlyConfigured(
            "DATABASE_URL: must name a PostgreSQL database inside a cluster, where a file vanishes"
            " with the pod."
        )
    _database["ENGINE"] = "fugata_core.sqlite"
    check_sqlite(_database["NAME"], _options)
    _options.setdefault("timeout", 30)
    _options |= {
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        " PRAGMA secure_delete=ON;",
    }
elif _database["ENGINE"] == "django.db.backends.postgresql":
    _database["ENGINE"] = "fugata_core.postgresql"
    check_postgresql(_database["NAME"], _options)
    # Parameters are bound by the server, and statements prepared at their second use.
    _options.setdefault("server_side_binding", True)
    _threshold = prepare_threshold(_options.get("prepare_threshold", 1))
    _options["prepare_threshold"] = _threshold
    # A standby is refused. Behind PgBouncer that can't be known: it says for good what it was first
    # told by a server; there, the statement that is refused tells (fugata_core/connections.py).
    _options.setdefault("target_session_attrs", "any" if _threshold is None else "read-write")
    _options.setdefault("connect_timeout", 5)
    # A server that vanished silently is noticed within seconds, not after the kernel's hours.
    _options.setdefault("tcp_user_timeout", 10_000)
    _options.setdefault("keepalives_idle", 10)
    _options.setdefault("keepalives_interval", 5)
    _options.setdefault("keepalives_count", 3)
else:
    raise ImproperlyConfigured("DATABASE_URL: must be a postgresql:// or sqlite:// URL.")
#: Seconds that a request may wait for an answer of PostgreSQL, and a task of the worker.
DATABASE_TIMEOUT = whole_number("DATABASE_TIMEOUT", 30, 1, 3600)
WORKER_DATABASE_TIMEOUT = 4 * DATABASE_TIMEOUT
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
