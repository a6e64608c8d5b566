"""Files of keys, and SQLite's: made for their owner alone, and warned of where they are not."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from fugata_site.file_checks import check_private_files
from tests.support.servers.service import Service


@pytest.fixture
def without_umask() -> Iterator[None]:
    """Have files made with all the rights that the code gives them."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def home(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a key in it."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    settings.FUGATA_HOME = folder
    database = {"ENGINE": "fugata_core.sqlite", "NAME": str(folder / "db")}
    monkeypatch.setitem(settings.DATABASES, "default", database)
    (folder / "secret_key").touch(mode=0o600)
    return folder


def warned() -> list[tuple[str, str | None]]:
    found = check_private_files(None)
    assert {each.id for each in found} <= {"fugata.W003"}
    return [(each.msg, each.hint) for each in found]


@contextmanager
def without_root_s_rights() -> Iterator[None]:
    """Run the block as a user to whom a closed folder is closed."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.processes
@pytest.mark.usefixtures("without_umask")
@pytest.mark.parametrize("command", [["migrate"], ["fsck"]])
def test_whichever_command_is_the_first(tmp_path: Path, command: list[str]) -> None:
    """In a folder that others can look into."""
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    Service(home).manage(*command, check=False)
    made = {each.name: each for each in home.rglob("*")}
    assert {"audit_key", "fugata.sqlite3", "secret_key", "queue"} <= made.keys()
    wanted = {name: 0o700 if each.is_dir() else 0o600 for name, each in made.items()}
    assert {name: stat.S_IMODE(each.stat().st_mode) for name, each in made.items()} == wanted


@pytest.mark.processes
def test_a_start_says_it(tmp_path: Path) -> None:
    service = Service(tmp_path / "home")
    service.manage("prepare")
    file = service.home / "fugata.sqlite3"
    file.chmod(0o644)
    for command in (["check", "--deploy"], ["prepare"]):
        said = service.manage(*command).stderr
        assert f"(fugata.W003) {file}: others than its owner can read it." in said
        assert f"HINT: chmod 600 {file}" in said


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o602, 0o601])
@pytest.mark.parametrize(
    "name", ["audit_key", "keyring", "keyring.retired", "secret_key", "db", "db-wal", "db-shm"]
)
def test_each_that_others_may_read_or_write(home: Path, name: str, mode: int) -> None:
    file = home / name
    file.touch()
    file.chmod(mode)
    assert warned() == [(f"{file}: others than its owner can read it.", f"chmod 600 {file}")]


@pytest.mark.parametrize("mode", [0o775, 0o1777, 0o702])
def test_a_folder_that_others_may_write_to(home: Path, mode: int) -> None:
    home.chmod(mode)
    assert warned() == [(f"{home}: others can replace what is in it.", f"chmod go-w {home}")]


def test_a_home_without_anything_of_the_kind(home: Path) -> None:
    """As that of a container, whose folder the cluster opens to its group."""
    (home / "secret_key").unlink()
    home.chmod(0o777)
    assert warned() == []


def test_a_home_as_it_should_be(home: Path) -> None:
    assert warned() == []


def test_the_head_of_the_trail(home: Path, settings: Settings) -> None:
    """Wherever it is: who writes there can take the comparison back."""
    head = home / "elsewhere"
    settings.AUDIT_HEAD = {"BACKEND": "", "OPTIONS": {"path": head}}
    head.touch(mode=0o600)
    assert warned() == []
    head.chmod(0o646)
    assert warned() == [(f"{head}: others than its owner can read it.", f"chmod 600 {head}")]


def test_a_head_in_a_folder_that_is_another_user_s(home: Path, settings: Settings) -> None:
    """As that of a worker is to the web processes, whose start it must not end."""
    head = home / "closed" / "head"
    settings.AUDIT_HEAD = {"BACKEND": "", "OPTIONS": {"path": head}}
    head.parent.mkdir()
    head.touch(mode=0o646)
    head.parent.chmod(0)
    with without_root_s_rights():
        with pytest.raises(PermissionError):
            head.stat()
        assert warned() == []
