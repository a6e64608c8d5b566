"""REDIS_URL, read once: each part that talks to Redis gets the same address, in its own form.

Libraries read such URLs differently: kombu takes no `unix://` and no `?db=`, and checks no
certificate unless it is told to.
"""

import re
import ssl
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from django.core.exceptions import ImproperlyConfigured

_FOR_TLS = ("ssl_ca_certs", "ssl_cert_reqs")
_OPTIONS = {"redis": ("db",), "rediss": ("db", *_FOR_TLS), "unix": ("db",)}
_FORMS = (
    "must be a URL such as redis://:password@host:6379/0, rediss://host/0 or unix:///path?db=0,"
    " with special characters of the password percent-encoded (# is %23)."
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is. `path`: of its socket, for `unix`; `ca_file`: a private authority's."""

    scheme: str
    host: str
    port: int | None
    path: str
    database: int
    username: str
    password: str = field(repr=False)
    ca_file: str

    @property
    def url(self) -> str:
        """The URL for redis-py, which checks certificates and host names by default."""
        if self.scheme == "unix":
            return f"unix://{self._sign_in}{quote(self.path)}?db={self.database}"
        options = f"?{urlencode({'ssl_ca_certs': self.ca_file})}" if self.ca_file else ""
        return self._server_url + options

    @property
    def broker_url(self) -> str:
        """The URL for Celery."""
        if self.scheme == "unix":
            path = quote(self.path)
            return f"redis+socket://{self._sign_in}{path}?virtual_host={self.database}"
        return self._server_url

    @property
    def broker_tls(self) -> dict[str, str] | None:
        """Celery's `broker_use_ssl`: without it, kombu checks no certificate."""
        if self.scheme != "rediss":
            return None
        authority = {"ssl_ca_certs": self.ca_file} if self.ca_file else {}
        return {"ssl_cert_reqs": "required"} | authority

    @property
    def _server_url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{self._sign_in}{host}{port}/{self.database}"

    @property
    def _sign_in(self) -> str:
        if not self.username and not self.password:
            return ""
        return f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@"


def redis_address(text: str) -> RedisAddress | None:
    """Return what REDIS_URL says, None where it is empty.

    Raises ImproperlyConfigured for what a part of the service could not use, without repeating
    what may be a piece of a password.
    """
    if not text:
        return None
    try:
        parts = urlsplit(text)
        return _address(parts, _options(parts))
    except ValueError:  # of a port, or of a percent-encoding
        _refuse(_FORMS)


def _refuse(sentence: str) -> NoReturn:
    raise ImproperlyConfigured(f"REDIS_URL: {sentence}") from None


def _options(parts: SplitResult) -> dict[str, str]:
    """Return what is after the `?`."""
    if parts.scheme not in _OPTIONS or parts.fragment or "@" in parts.query:
        _refuse(_FORMS)
    pairs = parse_qsl(parts.query, keep_blank_values=True, errors="strict")
    options, allowed = dict(pairs), _OPTIONS[parts.scheme]
    for name in options:
        if name not in allowed:
            _refuse_option(name, allowed)
    if len(options) < len(pairs):
        _refuse("an option is given twice.")
    return options


def _refuse_option(name: str, allowed: tuple[str, ...]) -> NoReturn:
    if name in _FOR_TLS:
        _refuse(f"?{name} is understood only with rediss://, which is Redis over TLS.")
    named = f"?{name}" if re.fullmatch("[a-z_]+", name) else "what is after the ?"
    which = f"are {', '.join(allowed)}" if len(allowed) > 1 else f"is {allowed[0]}"
    _refuse(f"{named} is not understood; allowed {which}.")


def _address(parts: SplitResult, options: dict[str, str]) -> RedisAddress:
    is_unix = parts.scheme == "unix"
    return RedisAddress(
        scheme=parts.scheme,
        host="" if is_unix else _host(parts),
        port=parts.port,
        path=_socket(parts) if is_unix else "",
        database=_database("" if is_unix else parts.path.removeprefix("/"), options.get("db", "")),
        username=unquote(parts.username or "", errors="strict"),
        password=unquote(parts.password or "", errors="strict"),
        ca_file=_ca_file(options),
    )


def _host(parts: SplitResult) -> str:
    host = parts.hostname or "localhost"
    if not re.fullmatch(r"[-_0-9a-z.]+|[0-9a-f:.]+", host) or parts.port == 0:
        _refuse(_FORMS)
    return host


def _socket(parts: SplitResult) -> str:
    """Return the path of the socket."""
    path = unquote(parts.path, errors="strict")
    if parts.hostname or parts.port is not None or len(path) < 2:
        _refuse(_FORMS)
    return path


def _database(in_path: str, in_query: str) -> int:
    """Return the number of the database, which is 0 if none is given."""
    if in_path and in_query and in_path != in_query:
        _refuse("the path and ?db= name different databases.")
    number = in_path or in_query or "0"
    if not re.fullmatch("[0-9]{1,9}", number):
        _refuse(f"the database must be a whole number. It {_FORMS}")
    return int(number)


def _ca_file(options: dict[str, str]) -> str:
    """Return the file of a private certificate authority, having read it; "" for none."""
    if options.get("ssl_cert_reqs", "required").lower().removeprefix("cert_") != "required":
        _refuse("?ssl_cert_reqs must be required: the certificate of Redis is always checked.")
    file = options.get("ssl_ca_certs", "")
    try:
        if file:
            ssl.create_default_context(cafile=file)
    except OSError:  # ssl's own is one too
        _refuse("?ssl_ca_certs must be the path of a readable file with certificates (PEM).")
    return file
