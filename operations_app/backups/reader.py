"""Reads an archive, which anybody may have made: its signature comes before all else."""

import hashlib
import io
import json
import os
import re
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from operations_app.backups import signature
from operations_app.backups.archive import ARCHIVE_FORMAT, MANIFEST, SIGNATURE, Manifest

#: Bytes at the beginning of a manifest that say its format; what comes then may be of any length.
_HEAD = 2**16


class BadArchive(Exception):
    """The file is not a back-up, or not as it was written; the message says what is wrong."""


class _PlainFile(tarfile.TarInfo):
    """An entry that is a file: no link, no device, no header that says more of the next one."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or self.size < 0:
            raise BadArchive("the back-up has an entry that is no plain file")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]  # meant for this


class Reader:
    """Reads an archive; call `verify` before its rows are used.

    `doubt`: what speaks against its signature, or nothing. Raises BadArchive, which says what the
    file is instead; of a doubt, only if `signed`.
    """

    def __init__(self, path: Path, *, signed: bool = True) -> None:
        self._path = path
        with _sentences(path):
            self._file = open(path, "rb", opener=_regular_file)  # noqa: SIM115  # until exit
        try:
            with _sentences(path):
                self._read(signed)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _read(self, signed: bool) -> None:
        self._tar = self._from_start()
        self._entries = self._find({MANIFEST, SIGNATURE})
        _require_known_format(self._path, self._open(MANIFEST).read(_HEAD))
        self.doubt = self._doubt(self._open(MANIFEST))
        if self.doubt and signed:
            raise BadArchive(self.doubt + signature.REMEDIES.get(self.doubt, ""))
        manifest = self._open(MANIFEST).read()
        if self._doubt(io.BytesIO(manifest)) != self.doubt:
            raise BadArchive("the back-up changes while it is read")
        self.manifest = Manifest(**json.loads(manifest))
        names = {*self._entries, *self.manifest.digests}
        self._entries = self._find(names, only=True)
        if self._entries.keys() != names:
            raise BadArchive("the back-up has files too few")

    def _doubt(self, manifest: IO[bytes]) -> str:
        if SIGNATURE not in self._entries:
            return signature.MISSING
        return signature.doubt(manifest, self._open(SIGNATURE).read(signature.LENGTH + 1))

    def _from_start(self) -> tarfile.TarFile:
        self._file.seek(0)
        return tarfile.open(fileobj=self._file, mode="r:", tarinfo=_PlainFile)

    def _find(self, names: set[str], *, only: bool = False) -> dict[str, tarfile.TarInfo]:
        """Return the entries of these names, of which there may be one each; `only`: no others.

        What is passed over is not kept: there may be any number of it.
        """
        found: dict[str, tarfile.TarInfo] = {}
        tar = self._from_start()
        while (entry := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # it would keep all
            if entry.name in found or (only and entry.name not in names):
                raise BadArchive(f"the back-up has a file too many: {entry.name[:100]!r}")
            if entry.name in names:
                found[entry.name] = entry
        return found

    def verify(self) -> None:
        """Raise BadArchive unless every file is as it was written."""
        with _sentences(self._path):
            for name in self.manifest.digests:
                digest = hashlib.file_digest(self._open(name), "sha256")  # type: ignore[arg-type]
                self._compare(name, digest.hexdigest())

    def _compare(self, name: str, digest: str) -> None:
        if digest != self.manifest.digests[name]:
            raise BadArchive(f"the back-up is damaged: {name} is not what was written")

    def lines(self, name: str) -> Iterator[str]:
        """Yield the lines of a file; none if there is no such file.

        Raises BadArchive at the end if it is not what was written: it may change meanwhile.
        """
        if name not in self.manifest.digests:
            return
        digest = hashlib.sha256()
        with _sentences(self._path):
            for line in self._open(name):
                digest.update(line)
                yield line.decode()
            self._compare(name, digest.hexdigest())

    def values(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield app, name and sealed bytes of each value. Raises BadArchive."""
        for path in self.manifest.digests:
            kind, _, rest = path.partition("/")
            if kind == "values":
                app, _, name = rest.partition("/")
                yield app, name, self._value(path)

    def _value(self, path: str) -> bytes:
        with _sentences(self._path):
            sealed = self._open(path).read()
            self._compare(path, hashlib.sha256(sealed).hexdigest())
        return sealed

    def _open(self, name: str) -> IO[bytes]:
        file = self._tar.extractfile(self._entries[name])
        assert file is not None  # a plain file
        return file


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


class _NotRegular(OSError):
    """Something else than a file has that name."""


def _regular_file(path: str, flags: int) -> int:
    """Open a file, without waiting for who may write into a pipe. Raises OSError."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # open() says of a folder that it is one
        return descriptor
    os.close(descriptor)
    raise _NotRegular()


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return "is a folder"
        case PermissionError():
            return "this user may not read it"
        case _NotRegular():
            return "is a pipe or a device, and a back-up is read more than once: copy it to a file"
    return f"can't be read ({error.strerror or type(error).__name__})"


def _require_known_format(path: Path, head: bytes) -> None:
    """Raise BadArchive for a manifest of another format, of which nothing else is believed."""
    said = re.search(rb'"format": ?([0-9]{1,9})\b', head)
    found = int(said[1]) if said else None
    if found is not None and found != ARCHIVE_FORMAT:
        raise BadArchive(
            f"{path}: was written by another version of Fugata (its format is {found}, this version"
            f" reads {ARCHIVE_FORMAT}). Restore it with that version"
        )
