"""The keyring's file: replaced whole, and followed by running processes."""

import fcntl
import logging
import os
import stat
import threading
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from fugata_site.checks import check_backends_load
from tests.support.in_process.keys import local_keyring, use_keyring, use_keys
from tests.vault_app.support import DATA_KEY, A, B
from vault_app.errors import KeyUnavailable
from vault_app.keys import keyring, local
from vault_app.keys.keyring import KeyringFile, WrongKeyring

KEYS = {"one": b"1" * 32, "two": b"2" * 32}


@pytest.fixture
def path(settings: Settings, tmp_path: Path) -> Path:
    """A keyring file with the key `old`."""
    file = tmp_path / "keyring"
    file.write_text(f"old:{A}\n")
    use_keyring(settings, file)
    return file


class Clock:
    """A clock that moves when it is told to, in place of `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(local, "time", made)
    return made


def test_written_keys_are_read_in_their_order(tmp_path: Path) -> None:
    file = KeyringFile(tmp_path / "keyring")
    assert file.keys() == {}
    file.write(KEYS)
    assert list(file.keys().items()) == list(KEYS.items())
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["keyring"]


@pytest.mark.parametrize("wrong", [f"one:{B}", f"o/ne:{A}", "three:c2hvcnQ=", "\xff"], ids=repr)
def test_a_wrong_line_is_named_and_not_repeated(path: Path, wrong: str) -> None:
    path.write_text(f"one:{A}\n\n{wrong}\n", encoding="latin-1")
    with pytest.raises(WrongKeyring) as raised:
        local_keyring()
    sentence = str(raised.value)
    assert sentence.startswith(f"{path}, line 3: ")
    assert "FUGATA_KEYS" not in sentence
    assert not any(part in sentence for part in (A, B, "o/ne", "three", "c2hvcnQ=", "\xff"))


def test_a_file_that_can_not_be_read_is_named(path: Path) -> None:
    path.unlink()
    path.mkdir()
    with pytest.raises(WrongKeyring, match=f"{path}: can't be read \\(IsADirectoryError\\)"):
        local_keyring()


def test_the_start_blames_the_file_alone(path: Path) -> None:
    """A retired key's line was put back twice: `grep … keyring.retired >> keyring`."""
    path.write_text(f"old:{A}\nold:{A}\n")
    assert check_backends_load(None) == []
    path.write_text(f"old:{A}\nold:{B}\n")
    (problem,) = check_backends_load(None)
    assert (problem.id, problem.hint) == ("fugata.E003", None)
    assert problem.msg == f"{path}, line 2: an id is there twice, with different keys."


def test_a_write_that_fails_leaves_the_old_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = KeyringFile(tmp_path / "keyring")
    file.write(KEYS)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        file.write({"three": b"3" * 32})
    assert file.keys() == KEYS
    assert os.listdir(tmp_path) == ["keyring"]


def test_a_write_is_synced_before_it_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File, then rename, then folder: the order that survives a power cut."""
    file, seen = KeyringFile(tmp_path / "keyring"), list[tuple[bool, bool]]()
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        seen.append((folder, file.path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    file.write(KEYS)
    assert seen == [(False, False), (True, True)]


def test_what_is_set_aside_is_added_once(tmp_path: Path) -> None:
    file = KeyringFile(tmp_path / "keyring")
    file.write(KEYS)
    file.retired.write_bytes(b"# somebody's note, without an end \xff")
    for _ in range(2):
        file.set_aside("one", KEYS["one"])
    file.set_aside("one", b"3" * 32)  # another key of the same name
    assert file.retired.read_bytes().splitlines() == [
        b"# somebody's note, without an end \xff",
        *keyring.as_text({"one": KEYS["one"]}).encode().splitlines(),
        *keyring.as_text({"one": b"3" * 32}).encode().splitlines(),
    ]
    assert file.has_set_aside("one", KEYS["one"])
    assert not file.has_set_aside("two", KEYS["two"])
    assert stat.S_IMODE(file.retired.stat().st_mode) == 0o600
    assert file.keys() == KEYS, "nothing is read from there"
    assert sorted(os.listdir(tmp_path)) == ["keyring", "keyring.retired"]


def test_a_key_is_set_aside_durably(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, synced = KeyringFile(tmp_path / "keyring"), list[bool]()
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    file.set_aside("one", KEYS["one"])
    assert synced == [False, True]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "keyring").symlink_to(tmp_path / "real" / "keyring")
    KeyringFile(tmp_path / "keyring").write(KEYS)
    assert (tmp_path / "keyring").is_symlink()
    assert KeyringFile(tmp_path / "real" / "keyring").keys() == KEYS


def test_root_leaves_the_file_to_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service, which is not root, must be able to read what root wrote."""
    file, given = KeyringFile(tmp_path / "keyring"), list[tuple[int, int]]()
    file.write(KEYS)
    owner = file.path.stat()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _, user, group: given.append((user, group)))
    file.write(KEYS)
    assert given == [(owner.st_uid, owner.st_gid)]


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    """Each adds a key to what it read: none is lost."""

    def add(number: int) -> None:
        file = KeyringFile(tmp_path / "keyring")
        with file.locked():
            file.write({**file.keys(), f"k{number}": bytes([number]) * 32})

    threads = [threading.Thread(target=add, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(KeyringFile(tmp_path / "keyring").keys()) == 20


def test_a_writer_waits_for_so_long_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "_PATIENCE", 0.1)
    file = KeyringFile(tmp_path / "keyring")
    with file.locked(), pytest.raises(TimeoutError, match="another process has locked"):
        file.locked().__enter__()


def test_another_user_can_not_hold_the_lock(tmp_path: Path) -> None:
    """Whoever may list the folder could open it, and lock that."""
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with KeyringFile(tmp_path / "keyring").locked():
        assert stat.S_IMODE((tmp_path / "keyring.lock").stat().st_mode) == 0o600
    os.close(folder)


def test_readers_see_whole_keyrings(tmp_path: Path) -> None:
    file = KeyringFile(tmp_path / "keyring")
    file.write(KEYS)
    more = KEYS | {"three": b"3" * 32}

    def write() -> None:
        for keys in (more, KEYS) * 50:
            file.write(keys)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert file.keys() in (KEYS, more)
    writer.join()


# --- A running process follows -------------------------------------------------------------------


def test_an_unknown_key_id_is_looked_up_at_once(path: Path, clock: Clock) -> None:
    ring = local_keyring()
    wrapped = local.wrap_under("new", b"B" * 32, DATA_KEY, b"context")
    with pytest.raises(KeyUnavailable):
        ring.unwrap(wrapped, b"context")
    KeyringFile(path).write(keyring.parse(f"old:{A},new:{B}"))
    assert ring.unwrap(wrapped, b"context") == DATA_KEY
    assert ring.primary == "old"


def test_garbage_ids_cause_no_reading(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring, reads = local_keyring(), list[int]()

    def read(self: KeyringFile) -> dict[str, bytes]:
        reads.append(1)
        return {}

    monkeypatch.setattr(KeyringFile, "keys", read)
    for number in range(100):
        with pytest.raises(KeyUnavailable):
            ring.unwrap(local.wrap_under(f"k{number}", b"B" * 32, DATA_KEY, b""), b"")
    assert reads == []


def test_a_new_primary_is_noticed_within_a_second(path: Path, clock: Clock) -> None:
    ring = local_keyring()
    KeyringFile(path).write(keyring.parse(f"new:{B},old:{A}"))
    assert ring.primary == "old"
    clock.now += local.RELOAD_INTERVAL
    assert ring.primary == "new"
    assert ring.key_of(ring.wrap(DATA_KEY, b"")) == "new"


def test_wrapping_notices_it_too(path: Path, clock: Clock) -> None:
    ring = local_keyring()
    KeyringFile(path).write(keyring.parse(f"new:{B},old:{A}"))
    clock.now += local.RELOAD_INTERVAL
    assert ring.key_of(ring.wrap(DATA_KEY, b"")) == "new"


def test_a_key_that_was_taken_out_is_forgotten(path: Path, clock: Clock) -> None:
    ring = local_keyring()
    wrapped = ring.wrap(DATA_KEY, b"")
    KeyringFile(path).write(keyring.parse(f"new:{B}"))
    clock.now += local.RELOAD_INTERVAL
    ring.check()
    with pytest.raises(KeyUnavailable):
        ring.unwrap(wrapped, b"")


def damage_file(path: Path, damage: str | None) -> None:
    path.unlink()
    if damage is not None:
        path.write_text(damage, encoding="latin-1")


DAMAGES = ["", "old:c2hvcnQ=", "\xff", None]


@pytest.mark.parametrize("damage", DAMAGES, ids=repr)
def test_a_damaged_file_does_not_take_the_keys_away(
    path: Path, clock: Clock, damage: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    ring = local_keyring()
    wrapped = ring.wrap(DATA_KEY, b"")
    damage_file(path, damage)
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            clock.now += local.RELOAD_INTERVAL
            assert ring.unwrap(ring.wrap(DATA_KEY, b""), b"") == DATA_KEY
    assert ring.unwrap(wrapped, b"") == DATA_KEY
    assert caplog.text.count("missing or damaged") == 1
    assert "c2hvcnQ=" not in caplog.text


@pytest.mark.parametrize("damage", DAMAGES, ids=repr)
def test_a_damaged_file_is_told_until_it_is_back(
    path: Path, clock: Clock, damage: str | None
) -> None:
    ring, kept = local_keyring(), path.read_text()
    assert not ring.has_lost_file()
    damage_file(path, damage)
    assert ring.has_lost_file()
    clock.now += local.RELOAD_INTERVAL
    ring.check()
    assert ring.has_lost_file()
    path.write_text(kept)
    assert not ring.has_lost_file()


def test_a_keyring_that_has_no_keys_yet_lost_none(settings: Settings, tmp_path: Path) -> None:
    use_keyring(settings, tmp_path / "none")
    assert not local_keyring().has_lost_file()


def test_a_file_that_is_replaced_is_never_lost(path: Path) -> None:
    ring, file = local_keyring(), KeyringFile(path)

    def write() -> None:
        for _ in range(100):
            file.write(KEYS)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert not ring.has_lost_file()
    writer.join()


def test_a_file_that_could_not_be_read_is_tried_again(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner was put right, or a descriptor is free again: nothing else about it changes."""
    ring = local_keyring()
    KeyringFile(path).write(keyring.parse(f"new:{B},old:{A}"))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refuse)
        clock.now += local.RELOAD_INTERVAL
        assert ring.primary == "old"
    clock.now += local.RELOAD_INTERVAL
    assert ring.primary == "new"


def test_keys_of_the_environment_are_not_looked_for(
    settings: Settings, path: Path, clock: Clock
) -> None:
    use_keys(settings, f"set:{B}")
    ring = local_keyring()
    path.write_text(f"new:{A}\n")
    clock.now += 60
    assert ring.primary == "set"
    path.unlink()
    assert not ring.has_lost_file()
