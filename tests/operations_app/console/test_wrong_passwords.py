"""Wrong passwords: how many are looked at, and whom they keep out."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache, caches
from django.db import OperationalError
from pytest_django.fixtures import Settings

from audit_app.actors import Actor
from audit_app.guessing import forgive_sign_in, refuse_many_sign_ins
from fugata_core.errors import TooManySignIns
from tests.operations_app.console.test_signin import sign_in
from tests.support.clients.operators import person, text

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("olga", "nothing_counted")]

Move = Callable[[float], None]


@pytest.fixture
def olga() -> User:
    return person("olga", "operator")


@pytest.fixture
def nothing_counted(frozen_guesses: Move) -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def wrong(address: str, times: int = 1, name: str = "olga") -> list[int]:
    """Return the status of each answer to wrong passwords from there."""
    return [sign_in(name, "wrong", address).status_code for _ in range(times)]


def guesses(network: str, times: int) -> int:
    """Return how many of so many attempts from a network are looked at; none is right."""
    looked_at = 0
    for number in range(times):
        with suppress(TooManySignIns):
            refuse_many_sign_ins(Actor(bucket=f"{network} {number}", network=network), "olga")
            looked_at += 1
    return looked_at


def right(address: str, name: str = "olga") -> int:
    return sign_in(name, address=address).status_code


# --- An account, from one network ---


def test_strangers_keep_nobody_out_who_comes_from_elsewhere() -> None:
    for network in range(9):
        assert guesses(f"network {network}", 11) == 10
    assert right("198.51.100.1") == 302


@pytest.mark.parametrize(
    ("here", "elsewhere"),
    [
        ("192.0.2.{:d}", "192.0.3.1"),
        ("::ffff:192.0.2.{:d}", "::ffff:192.0.3.1"),
        ("2001:db8:1:2::{:d}", "2001:db8:1:3::1"),
        ("2001:db8:1:2:{:d}::1", "2001:db8:1:3::1"),
    ],
)
def test_ten_wrong_ones_from_a_network(here: str, elsewhere: str) -> None:
    for number in range(10):
        assert wrong(here.format(number)) == [200]
    assert right(here.format(99)) == 429
    assert right(elsewhere) == 302
    assert wrong(here.format(99), name="walter") == [200], "another name from there"


def test_the_page_says_for_how_long(frozen_guesses: Move) -> None:
    wrong("192.0.2.1", 10)
    refused = sign_in(address="192.0.2.2")
    seconds = int(refused.headers["Retry-After"])
    assert 0 < seconds <= 300
    assert "many wrong attempts to sign in" in text(refused)
    said = f"{-(-seconds // 60)} minutes" if seconds >= 120 else f"{seconds} second"
    assert f"try again in {said}" in text(refused)
    assert "Back to the sign-in page" in text(refused)
    frozen_guesses(seconds + 1)
    assert right("192.0.2.2") == 302


# --- An account, from everywhere; a client ---


def test_a_hundred_wrong_ones_within_an_hour(frozen_guesses: Move) -> None:
    for network in range(10):
        assert guesses(f"network {network}", 10) == 10
    refused = sign_in(address="198.51.100.1")
    assert refused.status_code == 429
    seconds = int(refused.headers["Retry-After"])
    assert 0 < seconds <= 3600
    assert wrong("198.51.100.1", name="walter") == [200]
    frozen_guesses(seconds + 1)
    assert right("198.51.100.1") == 302


def test_what_a_network_is_refused_counts_nowhere_else(settings: Settings) -> None:
    settings.ACCOUNT_RATE = "20/h"
    wrong("192.0.2.1", 25)
    assert right("198.51.100.1") == 302


def test_what_an_account_is_refused_counts_nowhere_else(settings: Settings) -> None:
    """It is not looked at: neither the address nor the network has tried anything."""
    settings.ACCOUNT_RATE = "5/h"
    guesses("another network", 5)
    assert wrong("192.0.2.1", 40) == [429] * 40
    settings.ACCOUNT_RATE = "100/h"
    assert right("192.0.2.1") == 302


def test_a_client_tries_thirty_times_whomever() -> None:
    for number in range(30):
        assert wrong("192.0.2.1", name=f"name-{number}") == [200]
    assert right("192.0.2.1") == 429
    assert right("192.0.2.2") == 302


# --- Right ones ---


def test_right_ones_never_count() -> None:
    for _ in range(35):
        assert right("192.0.2.1") == 302
    assert wrong("192.0.2.1", 10) == [200] * 10
    assert right("192.0.2.1") == 429


def test_right_ones_make_room_for_no_wrong_one() -> None:
    for _ in range(9):
        assert wrong("192.0.2.1") == [200]
        assert right("192.0.2.1") == 302
    assert wrong("192.0.2.1", 2) == [200, 429]


def test_what_was_not_looked_at_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that fails found no password wrong; a form with an empty field tries none."""
    with monkeypatch.context() as broken:

        def down(*_: object, **__: object) -> None:
            raise OperationalError

        broken.setattr("django.contrib.auth.forms.authenticate", down)
        for _ in range(12):
            assert sign_in().status_code == 503
    for _ in range(40):
        assert sign_in(password="").status_code == 200
    assert right("192.0.2.1") == 302


# --- Names ---


def test_what_is_no_account_is_refused_likewise() -> None:
    known, unknown = (sign_in_until_refused(name) for name in ("olga", "nobody-of-that-name"))
    assert known == unknown


def sign_in_until_refused(name: str) -> list[tuple[int, bool]]:
    answers = [sign_in(name, "wrong", "192.0.2.1") for _ in range(11)]
    return [(each.status_code, "Retry-After" in each.headers) for each in answers]


def test_names_are_counted_as_they_are_compared() -> None:
    """NFKC makes them one for Django; letter case and accents tell them apart."""
    person("o\u0301lga")
    assert wrong("192.0.2.1", 5, "\u00f3lga") == [200] * 5
    assert wrong("192.0.2.1", 6, "o\u0301\uff4cga") == [200] * 5 + [429]
    assert right("192.0.2.1", "\u00f3lga") == 429
    assert right("192.0.2.1", "olga") == 302
    assert wrong("192.0.2.1", 10, "Olga") == [200] * 10
    assert right("192.0.2.2", "olga") == 302


def test_what_is_counted_names_nobody() -> None:
    wrong("192.0.2.1", 12)
    right("198.51.100.1")
    kept = str(vars(caches["default"])["_cache"])
    assert "rl:" in kept
    for word in ("olga", "192.0.2", "198.51"):
        assert word not in kept


# --- At the same moment ---


def attempts_at_once(count: int) -> int:
    """Return how many of so many attempts at the same moment are looked at."""
    together = threading.Barrier(count)

    def attempt(number: int) -> bool:
        actor = Actor(bucket=f"client {number}", network="one")
        together.wait()
        try:
            refuse_many_sign_ins(actor, "olga")
        except TooManySignIns:
            return False
        return True

    with ThreadPoolExecutor(count) as pool:
        return sum(pool.map(attempt, range(count)))


def test_fifty_at_the_same_moment() -> None:
    assert attempts_at_once(50) == 10


def test_fifty_at_the_same_moment_after_right_ones() -> None:
    for number in range(20):
        actor = Actor(bucket=f"client {number}", network="one")
        refuse_many_sign_ins(actor, "olga")
        forgive_sign_in(actor, "olga")
    assert attempts_at_once(50) == 10
