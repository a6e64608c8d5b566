"""The archive: a tar file with a manifest, a file of rows for each table, and each sealed value.

It holds no key: its values open only with the keyring (and a share only with its link too).
"""

import hashlib
import io
import itertools
import json
import os
import secrets
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Self

#: Format 1 named rows by model; tables keep their names when code moves.
ARCHIVE_FORMAT = 2
_MANIFEST = "manifest.json"
#: The exit status of a back-up, or a restore, that lacks values (of a restore, also one that may
#: lack some). 1 is one that did not happen.
PARTIAL = 3


class BadArchive(Exception):
    """The file is not a back-up, or not as it was written; the message says what is wrong."""


@dataclass
class Manifest:
    """What the archive holds, and which code made it (`migrations`: the newest of each app).

    `digests`: SHA-256 of each file in it, by name.
    """

    made_at: str
    migrations: dict[str, str]
    database: str
    store: str
    format: int = ARCHIVE_FORMAT
    digests: dict[str, str] = field(default_factory=dict)


class Writer:
    """Writes beside the target and names it at the end: there is a whole back-up, or none.

    Its draft is its own, whoever else writes a back-up there. `force`: write over a file that is
    there by then. `is_partial`: to be set if it lacks values. `target`: where it is at the end.
    """

    def __init__(self, target: Path, manifest: Manifest, *, force: bool = False) -> None:
        self.target, self.is_partial = target, False
        self._manifest, self._force = manifest, force
        self._draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")

    def __enter__(self) -> Self:
        self._file = os.fdopen(_create(self._draft), "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w")
        return self

    def add_lines(self, name: str, lines: Iterable[str]) -> int:
        """Add a file of lines; return how many there were."""
        count = 0
        with tempfile.TemporaryFile() as spool:
            for line in lines:
                spool.write(line.encode() + b"\n")
                count += 1
            self._add(name, spool)
        return count

    def add_bytes(self, name: str, data: bytes) -> None:
        """Add a file."""
        self._add(name, io.BytesIO(data))

    def _add(self, name: str, content: IO[bytes]) -> None:
        size = content.seek(0, os.SEEK_END)
        content.seek(0)
        self._manifest.digests[name] = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
        content.seek(0)
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, 0o600
        self._tar.addfile(entry, content)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with self._file:
                if kind is None:
                    self._finish()
            if kind is None:
                self._publish()
        finally:
            self._draft.unlink(missing_ok=True)

    def _finish(self) -> None:
        manifest = json.dumps(asdict(self._manifest), indent=1).encode()
        entry = tarfile.TarInfo(_MANIFEST)
        entry.size = len(manifest)
        self._tar.addfile(entry, io.BytesIO(manifest))
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())

    def _publish(self) -> None:
        """Give the draft the target's name, or a free one if it is partial.

        An earlier partial one stays: it may have what this one lacks. Raises FileExistsError.
        """
        if self.is_partial:
            self._publish_partial()
        elif self._force:
            self._draft.replace(self.target)
        else:
            _rename(self._draft, self.target)

    def _publish_partial(self) -> None:
        for number in itertools.count():
            path = self.target.with_name(f"{self.target.name}.partial{number or ''}")
            try:
                _rename(self._draft, path)
            except FileExistsError:
                continue
            self.target = path
            return


def _rename(draft: Path, path: Path) -> None:
    """Give a draft another name, which must be free; it may keep its own too.

    So even if this process is killed there is a whole file of that name, or none; but for file
    systems without hard links. Raises FileExistsError.
    """
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        os.close(_create(path))
        draft.replace(path)


def _create(path: Path) -> int:
    """Create a file that is not there yet, for its owner alone; return its descriptor."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


class Reader:
    """Reads an archive; call `verify` first, to compare every file with the manifest.

    Raises BadArchive, which says what the file is instead.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _sentences(path):
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115  # closed by __exit__
            self._names = {entry.name: entry for entry in self._tar if entry.isfile()}
            fields: dict[str, Any] = json.loads(self._bytes(_MANIFEST))
            _require_known_format(path, fields.get("format"))
            self.manifest = Manifest(**fields)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()

    def verify(self) -> None:
        """Raise BadArchive unless every file is as it was written, and none is missing or extra."""
        with _sentences(self._path):
            self._compare()

    def _compare(self) -> None:
        if set(self._names) - {_MANIFEST} != set(self.manifest.digests):
            raise BadArchive("the back-up has files too few or too many")
        for name, digest in self.manifest.digests.items():
            file = self._open(name)
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:  # type: ignore[arg-type]
                raise BadArchive(f"the back-up is damaged: {name} is not what was written")

    def lines(self, name: str) -> Iterator[str]:
        """Yield the lines of a file; none if there is no such file."""
        if name in self._names:
            for line in self._open(name):
                yield line.decode()

    def values(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield app, name and sealed bytes of each value."""
        for path in self.manifest.digests:
            kind, _, rest = path.partition("/")
            if kind == "values":
                app, _, name = rest.partition("/")
                yield app, name, self._bytes(path)

    def _open(self, name: str) -> IO[bytes]:
        file = self._tar.extractfile(self._names[name])
        assert file is not None  # isfile()
        return file

    def _bytes(self, name: str) -> bytes:
        return self._open(name).read()


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Say in a sentence what keeps the file from being read."""
    try:
        yield
    except OSError as error:
        raise BadArchive(f"{path}: {_why(error)}") from error
    except (
        tarfile.TarError,
        EOFError,
        ArithmeticError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        raise BadArchive(
            f"{path}: is no back-up, or not a whole one. (One that was compressed must be unpacked"
            " first.)"
        ) from error


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return "is a folder"
        case PermissionError():
            return "this user may not read it"
    return f"can't be read ({error.strerror or type(error).__name__})"


def _require_known_format(path: Path, found: object) -> None:
    if found != ARCHIVE_FORMAT:
        raise BadArchive(
            f"{path}: was written by another version of Fugata (its format is {found}, this version"
            f" reads {ARCHIVE_FORMAT}). Restore it with that version"
        )
