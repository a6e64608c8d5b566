"""When beat sent each task last: a small file of JSON, in seconds since 1970 by the task's name."""

import json
from contextlib import suppress
from pathlib import Path

from fugata_core.files import replace_file

#: What earlier versions kept beside it: a file of pickles, in the forms that Python gives it.
_PICKLES = tuple(f"beat-schedule{suffix}" for suffix in ("", ".db", ".dat", ".bak", ".dir"))


def read(file: Path) -> dict[str, float]:
    """Return what the file has; nothing for a file that is missing or malformed."""
    try:
        kept = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    runs = kept.items() if isinstance(kept, dict) else ()
    return {name: at for name, at in runs if isinstance(at, int | float) and at >= 0}


def write(file: Path, runs: dict[str, float]) -> None:
    """Replace the file, whole or not at all. Raises OSError."""
    replace_file(file, json.dumps(runs).encode())


def forget_pickles(file: Path) -> None:
    """Delete what earlier versions kept in the same folder; nothing reads it."""
    for name in _PICKLES:
        with suppress(OSError):
            if name != file.name:
                file.with_name(name).unlink()
