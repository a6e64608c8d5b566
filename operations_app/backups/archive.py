"""Writes the archive: a tar file with a file of rows for each table, each sealed value, a manifest
and its signature.

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
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Self

from fugata_core.files import create_private
from operations_app.backups.signature import sign

#: Format 1 named rows by model; tables keep their names when code moves. Format 2 had no signature.
ARCHIVE_FORMAT = 3
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
#: The exit status of a back-up, or a restore, that lacks values (of a restore, also one that may
#: lack some). 1 is one that did not happen.
PARTIAL = 3


@dataclass
class Manifest:
    """What the archive holds, and which code made it (`migrations`: the newest of each app).

    `digests`: SHA-256 of each file in it, by name; not of itself and its signature.
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
        self._draft = target.with_name(f".{target.name}.{secrets.token_hex(16)}.part")

    def __enter__(self) -> Self:
        self._file = os.fdopen(create_private(self._draft), "wb")
        # GNU's format has large sizes in the header itself; the reader takes no other headers.
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.GNU_FORMAT)
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
        content.seek(0)
        self._manifest.digests[name] = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
        self._put(name, content)

    def _put(self, name: str, content: IO[bytes]) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = content.seek(0, os.SEEK_END), 0o600
        content.seek(0)
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
        manifest = io.BytesIO(json.dumps(asdict(self._manifest), indent=1).encode())
        signature = io.BytesIO(sign(manifest))
        self._put(MANIFEST, manifest)
        self._put(SIGNATURE, signature)
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
        os.close(create_private(path))
        draft.replace(path)
