"""How settings are read: from the environment, `X_FILE` for a secret `X`, with errors that name
the setting.
"""

import ipaddress
import os
import re
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import EnvError, FileAwareEnv

from fugata_core.durations import duration
from fugata_core.files import create_private

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
T = TypeVar("T")

env = FileAwareEnv(strip_whitespace=True)

_LONGEST = timedelta(days=366)


def read(name: str, reader: Callable[..., T], default: object) -> T:
    """Return setting `name` through one of `env`'s readers; raises ImproperlyConfigured, naming
    it, when the value is wrong. The value itself is never repeated: it may be a secret.
    """
    if not os.environ.get(name) and not os.environ.get(f"{name}_FILE"):
        os.environ.pop(name, None)  # X= means "not set", as compose files write it
    try:
        value = reader(name, default)
    except (EnvError, ValueError, KeyError):
        # Not "from error": a library's message may repeat the value.
        raise ImproperlyConfigured(
            f"{name}: the value is not usable. It must be {_wanted(reader)}."
        ) from None
    if value == "" and os.environ.get(f"{name}_FILE"):
        raise ImproperlyConfigured(f"{name}: the file that {name}_FILE names is empty.")
    return value


def _wanted(reader: Callable[..., object]) -> str:
    name = getattr(reader, "__name__", "")
    return {
        "int": "a whole number",
        "bool": "true or false",
        "list": "a list, separated by commas",
        "dj_db_url": "a database URL, for instance postgresql://user:password@host/name, and for"
        " several servers postgresql://user:password@one,two/name or, each with a port,"
        " postgresql://user:password@/name?host=one,two&port=5432,5433",
    }.get(name, "text, or NAME_FILE the path of a readable file")


def whole_number(name: str, default: int, least: int, most: int) -> int:
    """Return an integer setting between `least` and `most`, both allowed."""
    value = read(name, env.int, default)
    if not least <= value <= most:
        raise ImproperlyConfigured(f"{name}: must be a whole number from {least} to {most}.")
    return value


def names(name: str, default: list[str]) -> list[str]:
    """Return a list of names, without the spaces around them."""
    return [entry.strip() for entry in read(name, env.list, default) if entry.strip()]


def hosts(name: str, default: list[str]) -> list[str]:
    """Return a list of host names as a Host header has them; `.example.com` and `*` are allowed."""
    found = names(name, default)
    if not all(re.fullmatch(r"\*|\.?[-_0-9A-Za-z.]+|\[[0-9A-Fa-f:.]+\]", entry) for entry in found):
        raise ImproperlyConfigured(
            f"{name}: each entry must be a host name without scheme, port or path,"
            " such as secrets.example.com."
        )
    return found


def origin(name: str, text: str) -> SplitResult:
    """Return the parts of a web origin, which is scheme and host, and maybe a port."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        more = parts.path or re.search(r"[@?#]", text)  # sign-in, query or fragment
    except ValueError:
        usable = False
    if not usable or more:
        raise ImproperlyConfigured(
            f"{name}: must be a scheme and a host, such as https://secrets.example.com."
        )
    return parts


def one_of(name: str, choices: list[str]) -> str:
    """Return a setting that is one of a few words; the first is the default."""
    value = read(name, env.str, choices[0])
    if value not in choices:
        raise ImproperlyConfigured(f"{name}: must be one of {', '.join(choices)}.")
    return value


def durations(name: str, default: list[str]) -> dict[str, timedelta]:
    """Return the durations on offer by their text, in the configured order: `5m` is five minutes;
    the units are s, m, h, d.
    """
    presets = {
        text.strip(): _duration(name, text.strip()) for text in read(name, env.list, default)
    }
    if not presets:
        raise ImproperlyConfigured(f"{name}: names no duration; write for instance 5m,1h,24h.")
    return presets


def _duration(name: str, text: str) -> timedelta:
    length = duration(text)
    if length is None or length > _LONGEST:
        raise ImproperlyConfigured(
            f"{name}: each entry is a whole number and s, m, h or d, of at most 366 days,"
            " for instance 5m,1h,24h,7d."
        )
    return length


def optional_duration(name: str) -> timedelta | None:
    """Return a duration such as `400d`; None where the setting is not set."""
    text = read(name, env.str, "")
    length = duration(text)
    if text and length is None:
        raise ImproperlyConfigured(
            f"{name}: must be a whole number and s, m, h or d, for instance 400d."
        )
    return length


def networks(name: str) -> list[Network]:
    """Return a list of addresses and CIDR blocks as networks."""
    try:
        return [ipaddress.ip_network(entry.strip()) for entry in read(name, env.list, [])]
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name}: each entry must be an IP address or a CIDR block such as 10.0.0.0/8."
        ) from error


def generated_secret(path: Path) -> str:
    """Return the secret stored in `path`, generated (384 random bits, mode 0600) if there is none.

    Written to a temporary file and then linked, so that concurrent first starts agree on one.
    Raises ImproperlyConfigured if it can't be read, OSError if it can't be made.
    """
    if not path.exists():
        write_once(path, secrets.token_urlsafe(48) + "\n")
    try:
        return path.read_text().strip()
    except UnicodeDecodeError:
        raise ImproperlyConfigured(
            f"{path} is no text. Put the right file back, from where you keep the keys."
        ) from None
    except OSError as error:
        raise ImproperlyConfigured(
            f"{path} can't be read ({error.strerror}). Let the user who runs this own it (chown),"
            " with mode 600."
        ) from None


def require_length(name: str, secret: str) -> None:
    """Refuse a short secret: it could be brute-forced from any hash that it keys."""
    if len(secret) < 32:
        raise ImproperlyConfigured(f"{name}: must be at least 32 random characters.")


def write_once(path: Path, text: str) -> None:
    """Create `path` with `text`, whole or not at all, mode 0600; an existing file is kept."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = create_private(draft)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
