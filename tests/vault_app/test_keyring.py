"""The local keyring: how it is written, and what its errors say."""

import base64
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from tests.support.in_process.keys import local_keyring, use_keyring, use_keys
from vault_app.errors import DecryptionFailed, KeyUnavailable
from vault_app.keys import local
from vault_app.keys.local import parse

A, B = (base64.b64encode(bytes([byte]) * 32).decode() for byte in b"AB")
DATA_KEY = b"d" * 32


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        (f"one:{A}", ["one"]),
        (f"one:{A},two:{B}", ["one", "two"]),
        (f"two:{B},one:{A}", ["two", "one"]),
        (f" one:{A},\n two:{B} \n", ["one", "two"]),
        (f"one:{A}\ntwo:{B}\n", ["one", "two"]),
        (f"one:{A},two:{B},one:{A}", ["one", "two"]),
        (f"one:{A},", ["one"]),
        (f"a.b-c_9:{A}", ["a.b-c_9"]),
        (f"{'x' * 64}:{A}", ["x" * 64]),
    ],
)
def test_a_good_keyring(text: str, ids: list[str]) -> None:
    keys = parse(text)
    assert list(keys) == ids
    assert all(len(key) == 32 for key in keys.values())


@pytest.mark.parametrize(
    "text",
    [
        A,
        f":{A}",
        "one:",
        "one",
        f"one:{A[:-1]}",
        f"one:{A[:-4]}",
        f"one:{A}AAAA",
        "one:" + base64.b64encode(b"k" * 16).decode(),
        "one:" + base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        f"one:{A[:20]}%{A[21:]}",
        f"one:{A[:20]}é{A[21:]}",
        f"one:{A},one:{B}",
        f"one:{A};two:{B}",
        f"o/ne:{A}",
        f"öne:{A}",
        f"{'x' * 65}:{A}",
        f"one:{A}:{B}",
    ],
)
def test_a_bad_keyring_is_named_and_not_repeated(text: str) -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        parse(text)
    sentence = str(raised.value)
    assert sentence.startswith("FUGATA_KEYS: ")
    for part in text.replace(":", ",").split(","):
        assert len(part) < 9 or part not in sentence
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_a_generated_keyring_is_a_good_one() -> None:
    first, second = local.generate(), local.generate()
    assert len(parse(first)) == 1
    assert first != second


def test_the_first_wraps_and_all_unwrap(settings: Settings) -> None:
    use_keys(settings, f"old:{A}")
    by_old = local_keyring().wrap(DATA_KEY, b"context")
    use_keys(settings, f"new:{B},old:{A}")
    ring = local_keyring()
    assert ring.primary == "new"
    assert ring.unwrap(by_old, b"context") == DATA_KEY
    by_new = ring.wrap(DATA_KEY, b"context")
    use_keys(settings, f"new:{B}")
    assert local_keyring().unwrap(by_new, b"context") == DATA_KEY


def test_a_key_id_that_the_ring_lacks(settings: Settings) -> None:
    use_keys(settings, f"old:{A}")
    wrapped = local_keyring().wrap(DATA_KEY, b"context")
    use_keys(settings, f"new:{A}")
    with pytest.raises(KeyUnavailable):
        local_keyring().unwrap(wrapped, b"context")


def test_another_key_of_the_same_id(settings: Settings) -> None:
    use_keys(settings, f"one:{A}")
    wrapped = local_keyring().wrap(DATA_KEY, b"context")
    use_keys(settings, f"one:{B}")
    with pytest.raises(DecryptionFailed):
        local_keyring().unwrap(wrapped, b"context")


def test_an_empty_ring(settings: Settings, tmp_path: Path) -> None:
    use_keyring(settings, tmp_path / "none")
    ring = local_keyring()
    with pytest.raises(KeyUnavailable):
        _ = ring.primary
    with pytest.raises(KeyUnavailable):
        ring.wrap(DATA_KEY, b"context")
    with pytest.raises(KeyUnavailable):
        ring.check()


def test_the_ring_comes_from_the_file_where_the_setting_is_empty(
    settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "keyring"
    file.write_text(f"filed:{A}\n")
    use_keyring(settings, file)
    assert local_keyring().primary == "filed"
    use_keys(settings, f"set:{A}")
    assert local_keyring().primary == "set"
