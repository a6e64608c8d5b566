"""An archive that somebody else made, or changed, is refused as it is opened."""

import tarfile
from io import BytesIO
from pathlib import Path
from typing import IO

import pytest
from pytest_django.fixtures import Settings

from audit_app import chain
from operations_app.backups import signature
from operations_app.backups.archive import MANIFEST, SIGNATURE, Manifest, Writer
from operations_app.backups.reader import BadArchive, Reader
from tests.operations_app.backups.archives import (
    entry,
    files_of,
    rewritten,
    signed,
    with_digests,
    write,
)

ROWS = "rows/auth_user"
NO_FILE = "an entry that is no plain file"
CHANGED = "the back-up was changed after it was written"


@pytest.fixture
def file(file: Path) -> Path:
    """A back-up of one table and one value."""
    with Writer(file, Manifest("now", {}, "sqlite", "store")) as archive:
        archive.add_lines(ROWS, ["{}"])
        archive.add_bytes("values/shares/name", b"sealed")
    return file


def why(file: Path, *, signed: bool = True) -> str:
    with pytest.raises(BadArchive) as raised, Reader(file, signed=signed) as archive:
        archive.verify()
    return str(raised.value)


def both(file: Path) -> list[str]:
    """Return why it is refused, with its signature and without."""
    return [why(file), why(file, signed=False)]


def changes(file: Path, more: tuple[tarfile.TarInfo, bytes], without: str = "") -> list[Path]:
    """Return archives with one more entry, at the beginning and at the end."""
    kept = [entry(*each) for each in files_of(file).items() if each[0] != without]
    written = [file.with_name("first.tar"), file.with_name("last.tar")]
    for path, entries in zip(written, ([more, *kept], [*kept, more]), strict=True):
        write(path, entries)
    return written


def test_what_was_written_is_read(file: Path) -> None:
    with Reader(file) as archive:
        archive.verify()
        assert archive.doubt == ""
        assert list(archive.lines(ROWS)) == ["{}\n"]
        assert list(archive.values()) == [("shares", "name", b"sealed")]


def test_checksums_that_fit_are_not_enough(file: Path) -> None:
    rewritten(file, lambda n, d: b"{1}\n" if n == ROWS else d)
    with_digests(file)
    assert why(file).startswith(CHANGED)
    with Reader(file, signed=False) as archive:
        archive.verify()
        assert archive.doubt.startswith(CHANGED)


def test_one_without_a_signature(file: Path) -> None:
    rewritten(file, lambda n, d: None if n == SIGNATURE else d)
    assert why(file).startswith("the back-up has no signature")
    with Reader(file, signed=False) as archive:
        archive.verify()


@pytest.mark.parametrize("length", [0, 16, 17, 40, signature.LENGTH - 1])
def test_a_signature_that_was_cut(file: Path, length: int) -> None:
    rewritten(file, lambda n, d: d[:length] if n == SIGNATURE else d)
    assert why(file).startswith(CHANGED if length else "the back-up has no signature")


def test_a_signature_with_something_after_it(file: Path) -> None:
    rewritten(file, lambda n, d: d + b"x" if n == SIGNATURE else d)
    assert why(file).startswith(CHANGED)


def test_another_key(file: Path, settings: Settings) -> None:
    settings.AUDIT_KEY = "of another installation"
    assert why(file).startswith("the back-up was signed with another AUDIT_KEY, which is missing")


@pytest.mark.parametrize("name", [MANIFEST, SIGNATURE, ROWS])
def test_a_file_that_is_there_twice(file: Path, name: str) -> None:
    """One could be compared, and the other one read."""
    for same in (files_of(file)[name], b"other"):
        for changed in changes(file, entry(name, same)):
            assert all(f"a file too many: '{name}'" in each for each in both(changed))


KINDS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)


@pytest.mark.parametrize("kind", [*KINDS, tarfile.GNUTYPE_SPARSE, tarfile.CONTTYPE, b"Z"])
@pytest.mark.parametrize("name", [MANIFEST, ROWS, "rows/more"])
def test_an_entry_that_is_no_file(file: Path, kind: bytes, name: str) -> None:
    other = tarfile.TarInfo(name)
    other.type, other.linkname = kind, "values/shares/name"
    for changed in changes(file, (other, b""), without=name):
        assert all(NO_FILE in each for each in both(changed))


def test_headers_that_say_more_of_a_file(file: Path) -> None:
    """They may be of any length, and would be read before it is known whose they are."""
    for long in ({"comment": "x" * 10_000}, {"path": ROWS}):
        info, data = entry("rows/more", b"")
        info.pax_headers = long
        assert all(NO_FILE in why(changed) for changed in changes(file, (info, data)))


def test_a_size_below_zero(file: Path) -> None:
    """It would be read for ever."""
    header = bytearray(entry(ROWS, b"")[0].tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfe\x00"  # -512
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    file.write_bytes(bytes(header) + file.read_bytes())
    assert NO_FILE in why(file)


def test_a_file_that_the_manifest_does_not_name(file: Path) -> None:
    for changed in changes(file, entry("rows/more", b"")):
        assert all("a file too many: 'rows/more'" in each for each in both(changed))


@pytest.mark.parametrize("name", [ROWS, "values/shares/name"])
def test_a_file_that_is_missing(file: Path, name: str) -> None:
    rewritten(file, lambda n, d: None if n == name else d)
    assert all("files too few" in each for each in both(file))


def test_what_is_not_known_to_be_ours_is_not_kept(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest of any length is read in pieces, and of other entries only their headers."""
    files = files_of(file) | {f"rows/more{number}": b"" for number in range(100)}
    files[MANIFEST] += b" " * 300_000
    write(file, [entry(*each) for each in files.items()])
    read, sizes = tarfile.ExFileObject.read, list[int | None]()

    def noted(self: tarfile.ExFileObject, size: int | None = -1) -> bytes:
        sizes.append(size)
        return read(self, size)

    monkeypatch.setattr(tarfile.ExFileObject, "read", noted)
    assert why(file).startswith(CHANGED)
    assert sizes
    assert all(size is not None and 0 <= size <= 2**20 for size in sizes)


def test_a_manifest_that_changes_after_it_was_compared(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of(file)
    files[MANIFEST] += b" " * 300_000  # more than is buffered
    write(file, [entry(*each) for each in files.items()])
    signed(file)
    compare = signature.doubt

    def then_change(manifest: IO[bytes], line: bytes) -> str:
        found = compare(manifest, line)
        file.write_bytes(file.read_bytes().replace(b'"now"', b'"nov"'))
        return found

    monkeypatch.setattr(signature, "doubt", then_change)
    assert why(file) == "the back-up changes while it is read"


def test_the_key_is_not_in_the_signature() -> None:
    """Nor is what the trail's chain is made with."""
    line = signature.sign(BytesIO(b"{}")).decode()
    assert len(line) == signature.LENGTH
    assert chain._key().hex()[:16] not in line
