"""How settings are read: from the environment, or a file that it names."""

import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from fugata_site.settings.environment import (
    durations,
    env,
    generated_secret,
    networks,
    read,
    whole_number,
    write_once,
)


def test_a_file_in_place_of_the_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("s3cret\n")
    monkeypatch.setenv("X_FILE", str(tmp_path / "x"))
    assert read("X", env.str, "") == "s3cret"


def test_an_empty_value_beside_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("s3cret")
    monkeypatch.setenv("X", "")
    monkeypatch.setenv("X_FILE", str(tmp_path / "x"))
    assert read("X", env.str, "default") == "s3cret"


def test_an_empty_value_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "")
    assert read("X", env.str, "default") == "default"
    assert whole_number("X", 7, 1, 9) == 7


def test_a_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("X_FILE", str(tmp_path / "none"))
    with pytest.raises(ImproperlyConfigured, match=r"^X: .*_FILE"):
        read("X", env.str, "")


@pytest.mark.parametrize("value", ["0", "11", "-1", "1.5", "ten", "1e3", "0x5", " "])
def test_a_number_that_is_none_or_out_of_bounds(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("X", value)
    with pytest.raises(ImproperlyConfigured, match=r"^X: "):
        whole_number("X", 5, 1, 10)


@pytest.mark.parametrize(("value", "number"), [("1", 1), ("10", 10), (" 5 ", 5)])
def test_a_number_within_its_bounds(
    monkeypatch: pytest.MonkeyPatch, value: str, number: int
) -> None:
    monkeypatch.setenv("X", value)
    assert whole_number("X", 5, 1, 10) == number


def test_durations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "90s, 5m,1h,2d")
    assert durations("X", ["1h"]) == {
        "90s": timedelta(seconds=90),
        "5m": timedelta(minutes=5),
        "1h": timedelta(hours=1),
        "2d": timedelta(days=2),
    }
    assert list(durations("X", ["1h"])) == ["90s", "5m", "1h", "2d"]


@pytest.mark.parametrize(
    "value",
    [
        "5",
        "m",
        "5w",
        "0m",
        "-5m",
        "5m,",
        ",",
        "5 m",
        "5M",
        "1.5h",
        "367d",
        "9" * 12 + "s",
        "\u0665m",
    ],
)
def test_what_is_no_duration(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("X", value)
    with pytest.raises(ImproperlyConfigured, match=r"^X: ") as raised:
        durations("X", ["1h"])
    assert value not in str(raised.value) or value in ("m", "5m,", ",", "5")


@pytest.mark.parametrize("value", ["10.0.0.0/8", "10.0.0.1, ::1", "2001:db8::/32"])
def test_networks(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("X", value)
    assert len(networks("X")) == value.count(",") + 1


@pytest.mark.parametrize("value", ["10.0.0.0/33", "10.0.0.1/8", "proxy", "10.0.0.1;::1", "*"])
def test_what_is_no_network(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("X", value)
    with pytest.raises(ImproperlyConfigured, match=r"^X: "):
        networks("X")


def test_a_secret_is_generated_once(tmp_path: Path) -> None:
    path = tmp_path / "home" / "secret"
    first = generated_secret(path)
    assert generated_secret(path) == first
    assert len(first) >= 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_first_to_write_wins(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_once(path, "first")
    write_once(path, "second")
    assert path.read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda path: path.write_bytes(b"\xff\xfe"), "is no text. Put the right file back"),
        (lambda path: path.mkdir(), r"can't be read \(Is a directory\)"),
    ],
)
def test_a_generated_secret_that_can_not_be_read(
    tmp_path: Path, break_it: Callable[[Path], object], said: str
) -> None:
    break_it(tmp_path / "audit_key")
    with pytest.raises(ImproperlyConfigured, match=said):
        generated_secret(tmp_path / "audit_key")
