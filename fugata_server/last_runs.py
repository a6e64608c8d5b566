"""When beat sent each task last: a small file of JSON, in seconds since 1970 by the task's name."""

import json
import os
from contextlib import suppress
from pathlib import Path

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
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        json.dump(runs, opened)
        opened.flush()
        os.fsync(descriptor)
    draft.replace(file)


def forget_pickles(file: Path) -> None:
    """Delete what earlier versions kept in the same folder; nothing reads it."""
    for name in _PICKLES:
        with suppress(OSError):
            if name != file.name:
                file.with_name(name).unlink()
