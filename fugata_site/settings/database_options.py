"""What DATABASE_URL may say after its `?`: the names of options, and the values of some.

A wrong one would be found only by the first connection, which says little of it.
"""

import re
from collections.abc import Collection, Mapping
from typing import NoReturn

from django.core.exceptions import ImproperlyConfigured
from psycopg.pq import Conninfo

_OURS = ("prepare_threshold", "server_side_binding")
#: Those that the installed libpq has; one makes connections that are no good for statements.
_LIBPQ = {each.keyword.decode() for each in Conninfo.get_defaults()} - {"replication"}
_SWITCH = ("0", "1")
_WANTED = ("disable", "prefer", "require")
_TLS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_PROTOCOL = ("3.0", "3.2", "latest")
#: The options whose values are a few words (PostgreSQL's documentation, "Parameter Key Words").
_WORDS = {
    "channel_binding": _WANTED,
    "gssdelegation": _SWITCH,
    "gssencmode": _WANTED,
    "keepalives": _SWITCH,
    "load_balance_hosts": ("disable", "random"),
    "max_protocol_version": _PROTOCOL,
    "min_protocol_version": _PROTOCOL,
    "server_side_binding": ("true", "false"),
    "ssl_max_protocol_version": _TLS,
    "ssl_min_protocol_version": _TLS,
    "sslcertmode": ("disable", "allow", "require"),
    "sslcompression": _SWITCH,
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "sslsni": _SWITCH,
    "target_session_attrs": (
        "any", "read-write", "read-only", "primary", "standby", "prefer-standby",
    ),
}  # fmt: skip
_SECONDS = ("connect_timeout", "keepalives_idle", "keepalives_interval", "timeout")
_NUMBERS = (*_SECONDS, "keepalives_count", "tcp_user_timeout")


def check_postgresql(name: str, options: Mapping[str, object]) -> None:
    """Raise ImproperlyConfigured for a URL of PostgreSQL that no connection could use.

    `name` is the database's, `options` what is after the `?`, as dj_database_url reads it.
    """
    if not (name or options.get("service")) or len(name) > 63:
        _refuse(
            "must name the database, in at most 63 characters:"
            " postgresql://user:password@host/name."
        )
    _check(options, _LIBPQ.union(_OURS), f"are {', '.join(_OURS)} and those of libpq")


def check_sqlite(name: str, options: Mapping[str, object]) -> None:
    """Raise ImproperlyConfigured for a URL of SQLite that does not name a file as Fugata takes it.

    `name` is the file's, `options` what is after the `?`.
    """
    if name.startswith("file:"):  # SQLite would take it for a URL of its own
        _refuse("must name the file by its path: sqlite:////folder/name.")
    _check(options, ("timeout",), "is timeout")


def prepare_threshold(given: object) -> int | None:
    """Return after how many uses a statement is prepared; None: never (`none` in the URL).

    Raises ImproperlyConfigured.
    """
    if given == "none":
        return None
    if type(given) is not int:  # which a bool is not
        _refuse(
            "?prepare_threshold must be a whole number, or the word none (nothing is prepared)."
        )
    return given


def _refuse(sentence: str) -> NoReturn:
    raise ImproperlyConfigured(f"DATABASE_URL: {sentence}")


def _check(options: Mapping[str, object], allowed: Collection[str], which: str) -> None:
    for option, value in options.items():
        if option not in allowed:
            _refuse(f"{_shown(option, options)} is not understood; allowed {which}.")
        if isinstance(value, list):
            _refuse(f"?{option} is given twice.")
        # dj_database_url makes a bool of these words.
        _check_value(option, str(value).lower() if isinstance(value, bool) else str(value))


def _shown(option: str, options: Mapping[str, object]) -> str:
    """Return an option's name, unless it may be a piece of a password with a `?` in it."""
    is_name = re.fullmatch("[a-z_]+", option) and not any("@" in str(v) for v in options.values())
    return f"?{option}" if is_name else "what is after the ?"


def _is_one_of(words: Collection[str], value: str) -> bool:
    """Return whether libpq would know the value: it compares versions of TLS without case."""
    return value in words or (words is _TLS and value.lower() in map(str.lower, words))


def _check_value(option: str, value: str) -> None:
    words = _WORDS.get(option)
    if words and not _is_one_of(words, value):
        _refuse(f"?{option} must be one of {', '.join(words)}.")
    if option in _NUMBERS and not re.fullmatch("[0-9]{1,9}", value):
        _refuse(f"?{option} must be a whole number{' of seconds' if option in _SECONDS else ''}.")
    if option == "port" and not re.fullmatch("[0-9]{1,5}(,[0-9]{1,5})*", value):
        _refuse("?port must be whole numbers, separated by commas: one, or one for each host.")
