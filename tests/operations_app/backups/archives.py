"""Archives as somebody else may make them."""

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

from operations_app.backups.archive import MANIFEST, SIGNATURE
from operations_app.backups.signature import sign

#: Returns another content of a file, by its name and its content; None leaves it out.
Change = Callable[[str, bytes], bytes | None]


def files_of(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


def entry(name: str, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    """Return what `write` takes for a file."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info, data


def write(file: Path, entries: Iterable[tuple[tarfile.TarInfo, bytes]]) -> None:
    """Write an archive anew."""
    with tarfile.open(file, "w") as archive:
        for info, data in entries:
            archive.addfile(info, BytesIO(data))


def rewritten(file: Path, change: Change) -> None:
    """Write the archive again with its files changed."""
    changed = {name: change(name, data) for name, data in files_of(file).items()}
    write(file, [entry(name, data) for name, data in changed.items() if data is not None])


def with_digests(file: Path) -> None:
    """Have the manifest fit the files, as whoever has no key can: the signature stays."""
    files = files_of(file)
    manifest = json.loads(files.pop(MANIFEST))
    signature = files.pop(SIGNATURE)
    manifest["digests"] = {name: hashlib.sha256(files[name]).hexdigest() for name in files}
    files |= {MANIFEST: json.dumps(manifest, indent=1).encode(), SIGNATURE: signature}
    write(file, [entry(*each) for each in files.items()])


def signed(file: Path) -> None:
    """Have the signature fit the manifest, if there is one, as only the holder of the key can."""
    files = files_of(file)
    if MANIFEST in files:
        files[SIGNATURE] = sign(BytesIO(files[MANIFEST]))
        write(file, [entry(*each) for each in files.items()])


def with_superuser(file: Path, name: str) -> None:
    """Add one to the rows, and to the manifest."""

    def add(path: str, data: bytes) -> bytes:
        if path != "rows/auth_user":
            return data
        columns = json.loads(data.splitlines()[0])
        columns |= {"id": 999, "username": name, "is_superuser": True, "is_staff": True}
        return data + json.dumps(columns).encode() + b"\n"

    rewritten(file, add)
    with_digests(file)
