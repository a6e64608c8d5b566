"""Files that are no back-up, and places where none can be written: a sentence says which it is."""

import errno
import gzip
import lzma
import os
import re
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from operations_app.backups import archive as archive_module
from operations_app.backups.archive import Manifest, Writer
from operations_app.backups.backup import take_backup
from operations_app.backups.reader import BadArchive, Reader
from tests.operations_app.backups.test_backup import Fill, exit_of, said
from tests.support.in_process.doubles import MemoryStore

pytestmark = pytest.mark.django_db(transaction=True)

NOBODY = 65534


@contextmanager
def nobody() -> Iterator[None]:
    """Act as a user without rights."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def as_nobody() -> None:
    """Skip a test whose part without rights could not be played."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as somebody else")


def writer(file: Path, *, force: bool = False) -> Writer:
    return Writer(file, Manifest("now", {}, "sqlite", "store"), force=force)


def written(file: Path) -> bytes:
    with writer(file) as archive:
        archive.add_bytes("values/shares/name", bytes(range(256)) * 20)
    return file.read_bytes()


def why_not(file: Path) -> str:
    with pytest.raises(BadArchive) as raised, Reader(file) as archive:
        archive.verify()
    return str(raised.value)


COMPRESSED = {
    "gzip": gzip.compress,
    "a part of a gzip": lambda data: gzip.compress(data)[:-20],
    "half of a gzip": lambda data: gzip.compress(data)[: len(gzip.compress(data)) // 2],
    "xz": lzma.compress,
    "a part of an xz": lambda data: lzma.compress(data)[:-20],
}


@pytest.mark.parametrize("compress", COMPRESSED.values(), ids=COMPRESSED)
def test_compressed_ones(file: Path, compress: Callable[[bytes], bytes]) -> None:
    """Whole or not, they end in a sentence, and it says what to do."""
    file.write_bytes(compress(written(file)))
    status, why = exit_of("restore", str(file))
    assert status == 1
    assert f"{file}: is no back-up, or not a whole one. (One that was compressed must" in why


def test_ones_that_were_cut(file: Path) -> None:
    data = written(file)
    with Reader(file) as archive:
        archive.verify()
    for length in [*range(0, 8 * 512, 100), len(data) - 10240]:
        file.write_bytes(data[:length])
        assert why_not(file).startswith(f"{file}: is no back-up, or not a whole one")


def test_one_that_is_cut_after_it_was_opened(file: Path) -> None:
    data = written(file)
    with Reader(file) as archive:
        file.write_bytes(data[:1024])
        with pytest.raises(BadArchive, match="not a whole one"):
            archive.verify()


@pytest.mark.usefixtures("as_nobody")
def test_what_can_not_be_read_says_why(file: Path) -> None:
    missing = f"Nothing was restored: {file}: there is no such file"
    assert exit_of("restore", str(file)) == (1, missing)
    folder = f"Nothing was restored: {file.parent}: is a folder"
    assert exit_of("restore", str(file.parent)) == (1, folder)
    written(file)
    file.chmod(0)
    with nobody():
        assert why_not(file) == f"{file}: this user may not read it"


def test_a_pipe_is_refused_at_once(file: Path) -> None:
    """Though nobody writes into it: to open it must not wait for that."""
    os.mkfifo(file)
    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(60)
    try:
        status, why = exit_of("restore", str(file))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert (status, f"{file}: is a pipe or a device" in why) == (1, True)


def hung(*_: object) -> None:
    """Be called when something waits for ever."""
    raise AssertionError("it waits")


def test_places_where_none_can_be_written(file: Path) -> None:
    """Before anything is read, and with what was typed."""
    missing = file.parent / "missing" / "backup.tar"
    expected = {
        "": "'' names no file. A back-up is not written to the standard output.",
        "-": "'-' names no file. A back-up is not written to the standard output.",
        str(file.parent): f"{file.parent} is a folder. Name a file in it.",
        str(
            missing
        ): f"{missing}: there is no folder {missing.parent}, or it can't be looked into.",
    }
    for typed, why in expected.items():
        for force in ((), ("--force",)):
            assert exit_of("backup", typed, *force) == (1, f"No back-up was written: {why}")
    assert list(file.parent.iterdir()) == []


@pytest.mark.usefixtures("as_nobody")
def test_a_folder_without_rights() -> None:
    with TemporaryDirectory() as folder:  # pytest's own can't be looked into
        os.chmod(folder, 0o755)
        typed = f"{folder}/backup.tar"
        with nobody():
            status, why = exit_of("backup", typed)
    expected = f"{typed}: this user may not write into the folder {folder}."
    assert (status, why) == (1, f"No back-up was written: {expected}")


def test_a_name_that_is_too_long(file: Path) -> None:
    typed = str(file.with_name("n" * 300))
    why = f"No back-up was written: {typed}: File name too long"
    assert exit_of("backup", typed) == (1, why)


def test_two_at_once_have_a_draft_each(file: Path) -> None:
    """The one that ends well is whole, whatever the other does meanwhile."""
    with writer(file, force=True) as first:
        first.add_bytes("one", b"1" * 20_000)
        with writer(file) as second:
            second.add_bytes("two", b"2" * 3)
        with Reader(file) as archive:
            archive.verify()
        first.add_bytes("three", b"3" * 20_000)
    with Reader(file) as archive:
        archive.verify()
        assert set(archive.manifest.digests) == {"one", "three"}
    assert list(file.parent.iterdir()) == [file]
    assert file.stat().st_mode & 0o777 == 0o600


def test_one_that_came_meanwhile_is_not_written_over(
    fill: Fill, file: Path, remote_store: MemoryStore
) -> None:
    fill()
    others: list[bytes] = []

    def progress(what: str, count: int) -> None:
        if what == "values" and not others:
            said("backup", str(file))
            others.append(file.read_bytes())

    with pytest.raises(FileExistsError):
        take_backup(file, progress)
    assert file.read_bytes() == others[0]
    assert list(file.parent.iterdir()) == [file]


def test_one_that_comes_at_the_last_moment_is_said(
    fill: Fill, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    monkeypatch.setattr(archive_module.Writer, "_finish", lambda _: file.write_text("precious"))
    assert f"{file} is there already" in exit_of("backup", str(file))[1]
    assert file.read_text() == "precious"


@pytest.mark.parametrize(("owner", "step"), [(os, "link"), (Path, "replace"), (Path, "unlink")])
def test_one_that_ends_as_it_takes_its_name_leaves_no_empty_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, owner: object, step: str
) -> None:
    """Of that name: it is a whole back-up, or not there."""
    monkeypatch.setattr(owner, step, end)
    with suppress(Killed):
        written(file)
    if file.exists():
        with Reader(file) as archive:
            archive.verify()


def test_file_systems_without_hard_links(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse_links)
    data = written(file)
    with pytest.raises(FileExistsError):
        written(file)
    assert file.read_bytes() == data
    for _ in range(2):
        with writer(file) as archive:
            archive.is_partial = True
    names = ["backup.tar", "backup.tar.partial", "backup.tar.partial1"]
    assert sorted(each.name for each in file.parent.iterdir()) == names


def refuse_links(*_: object) -> None:
    """As vfat does."""
    raise PermissionError(errno.EPERM, "Operation not permitted")


class Killed(BaseException):
    """What ends a process in the midst of something."""


def end(*_: object, **__: object) -> None:
    """Be killed."""
    raise Killed


def test_a_draft_writes_over_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even through a link that somebody put there."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    precious = file.with_name("precious")
    precious.write_text("precious")
    file.with_name(".backup.tar.guessed.part").symlink_to(precious)
    with pytest.raises(FileExistsError), writer(file):
        pass
    assert precious.read_text() == "precious"


def test_the_name_of_a_draft_can_not_be_foreseen(file: Path) -> None:
    """It has 128 random bits, and the draft is its owner's alone."""
    names = set()
    for _ in range(2):
        with writer(file, force=True):
            (draft,) = set(file.parent.iterdir()) - {file}
            assert draft.stat().st_mode & 0o777 == 0o600
            names.add(re.fullmatch(r"\.backup\.tar\.([0-9a-f]{32})\.part", draft.name)[1])  # type: ignore[index]
    assert len(names) == 2


def test_a_disk_that_is_full_leaves_no_draft(
    fill: Fill, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    why = f"No back-up was written: {file}: No space left on device"
    assert exit_of("backup", str(file)) == (1, why)
    assert list(file.parent.iterdir()) == []
