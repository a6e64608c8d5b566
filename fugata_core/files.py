"""Files for their owner alone: nobody else can have put one there; and how they are replaced."""

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Seconds between two attempts to get a lock.
_PAUSE = 0.02


def create_private(path: str | Path) -> int:
    """Create a file, mode 0600 at most whatever the umask is; return its descriptor, for writing.

    Raises FileExistsError if there is something of that name already, a link for instance.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def replace_file(
    path: Path, content: bytes, owner: Path | None = None, *, at_once: bool = True
) -> None:
    """Give `path` another content, for its owner alone: after a crash it has one or the other.

    `at_once`: the new one also after a power failure; else it may be the old one then.
    The draft has a name that nobody foresees. root gives it to whom `owner` belongs, or `path`
    itself: the service must be able to read what a command of root's wrote. Raises OSError.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_draft(draft, content, owner or path)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    if at_once:
        _sync_folder(path.parent)


def _write_draft(draft: Path, content: bytes, owner: Path) -> None:
    with os.fdopen(create_private(draft), "wb") as file:
        _give(file.fileno(), owner)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _give(descriptor: int, owner: Path) -> None:
    if os.geteuid() == 0:
        with suppress(FileNotFoundError):
            known = (owner if owner.exists() else owner.parent).stat()
            os.fchown(descriptor, known.st_uid, known.st_gid)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def file_lock(path: Path, seconds: float) -> Iterator[None]:
    """Run the block while no other process has the lock of `path`, a file that is replaced.

    Raises OSError, also if the lock is not free in time.
    """
    descriptor = open_lock(path, "lock")
    try:
        deadline = time.monotonic() + seconds
        while not try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, f"another process has locked {path}")
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)


def open_lock(path: Path, suffix: str) -> int:
    """Open the empty file `path`.`suffix`, which is there to be locked, and stays.

    Nobody but its owner can open it, and so hold it: that is the one of `path`, or of its folder,
    if root makes it. Raises OSError.
    """
    lock = path.with_name(f"{path.name}.{suffix}")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        _give(descriptor, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def try_lock(descriptor: int) -> bool:
    """Return whether the open file is locked now; False if another one has it. Raises OSError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
