"""The head in a file (AUDIT_HEAD_PATH), which is replaced as a whole."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from audit_app.chain import Head
from audit_app.errors import HeadUnavailable
from audit_app.heads.base import HeadStore, written
from fugata_core.files import file_lock, replace_file

#: Seconds that keeping the head waits for another process that does.
_PATIENCE = 10.0
#: Bytes at the end of the file that are read. Releases before appended a line for each head.
_READ = 4096


class FileHead(HeadStore):
    """One line. `path`: the file, in a folder where it may be replaced."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self.where = str(path)

    def read(self) -> Head | None:
        with self._sentences("read"):
            try:
                file = self._path.open("rb")
            except FileNotFoundError:
                if not self._path.parent.is_dir():  # a volume that is not mounted
                    raise
                return None
            with file:
                file.seek(max(file.seek(0, 2) - _READ, 0))
                text = file.read(_READ).decode(errors="replace")
        return self.parse(text)

    def keep(self, head: Head) -> None:
        with self._sentences("written"), self._lock():
            if self.follows(head, self.read()):
                replace_file(self._path, written(head), at_once=False)  # an older one is no harm

    def replace(self, head: Head) -> None:
        with self._sentences("written"), self._lock():
            replace_file(self._path, written(head))

    def _lock(self) -> AbstractContextManager[None]:
        return file_lock(self._path, _PATIENCE)

    @contextmanager
    def _sentences(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise HeadUnavailable(
                f"AUDIT_HEAD_PATH: {self._path} can't be {done} ({why}). The worker's user must be"
                " able to read it, and to replace it in its folder"
            ) from None
