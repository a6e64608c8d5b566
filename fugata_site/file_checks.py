"""A start-up check that files of keys, SQLite's and the trail's head are their owner's alone."""

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, register
from django.core.checks import Warning as CheckWarning

from fugata_core.checks import START

_KEYS = ("audit_key", "keyring", "keyring.retired", "secret_key")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@register(START)
def check_private_files(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Warn of each that others may read or write, and of its folder if they may write there."""
    files = [path for path in _private_files() if stat.S_ISREG(_mode(path))]
    open_files = [path for path in files if _mode(path) & _OTHERS]
    folders = sorted({path.parent for path in files if _mode(path.parent) & _OTHERS_WRITE})
    return [
        *(_warning(path, "others than its owner can read it", "chmod 600") for path in open_files),
        *(_warning(path, "others can replace what is in it", "chmod go-w") for path in folders),
    ]


def _private_files() -> Iterator[Path]:
    yield from (settings.FUGATA_HOME / name for name in _KEYS)
    if head := settings.AUDIT_HEAD["OPTIONS"].get("path"):
        yield Path(head)
    database = settings.DATABASES["default"]
    if database["ENGINE"] == "fugata_core.sqlite":
        file = Path(database["NAME"]).resolve()
        yield from (file.with_name(file.name + end) for end in ("", "-wal", "-shm"))


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:  # it is not there, or in a folder that is closed to this user
        return 0


def _warning(path: Path, what: str, command: str) -> CheckMessage:
    return CheckWarning(f"{path}: {what}.", hint=f"{command} {path}", id="fugata.W003")
