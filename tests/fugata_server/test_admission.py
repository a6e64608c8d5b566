"""Who of those with large bodies has a thread, who waits, and for how long."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fugata_core.limits import LARGE_BODIES, MAX_HUGE_BODIES, MAX_QUEUED, MAX_QUEUED_BY_CLIENT
from fugata_server.admission import Admission

THREADS, PLACES = 16, 4


@dataclass
class Sender:
    """A connection, as far as the line cares."""

    name: int
    is_huge: bool = False
    client: str = ""
    since: float = 0.0
    deadline: float = 0.0

    def __post_init__(self) -> None:
        self.client = self.client or str(self.name)


def admitted(line: Admission[Sender]) -> list[int]:
    """Return who gets a thread now."""
    found = []
    while sender := line.admit():
        found.append(sender.name)
    return found


def filled(*huge: bool) -> Admission[Sender]:
    """Return a line of so many senders, by their numbers."""
    line = Admission[Sender](THREADS)
    for name, is_huge in enumerate(huge):
        assert line.enqueue(Sender(name, is_huge))
    return line


def test_a_quarter_of_the_threads_in_the_order_of_arrival() -> None:
    line = filled(*[False] * 6)
    assert admitted(line) == [0, 1, 2, 3]
    line.release(Sender(0))
    assert admitted(line) == [4]


def test_two_huge_ones_at_a_time_and_the_others_pass_them() -> None:
    line = filled(True, True, True, False, True)
    assert admitted(line) == [0, 1, 3]
    line.release(Sender(1, is_huge=True))
    assert admitted(line) == [2]
    line.release(Sender(3))
    assert admitted(line) == []
    line.release(Sender(0, is_huge=True))
    assert admitted(line) == [4]


def test_one_thread_is_one_place() -> None:
    line = Admission[Sender](1)
    for name in range(2):
        line.enqueue(Sender(name, is_huge=True))
    assert admitted(line) == [0]


@given(steps=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_never_more_and_nobody_twice(steps: list[tuple[bool, bool]]) -> None:
    """However they come and go."""
    line, inside, seen = Admission[Sender](THREADS), list[Sender](), list[int]()
    for number, (leaves, is_huge) in enumerate(steps):
        if leaves and inside:
            line.release(inside.pop(0))
        line.enqueue(Sender(number, is_huge))
        while sender := line.admit():
            inside.append(sender)
            seen.append(sender.name)
        assert len(inside) <= PLACES
        assert sum(each.is_huge for each in inside) <= MAX_HUGE_BODIES
    assert len(seen) == len(set(seen))


def test_a_line_that_is_too_long_and_one_that_waits_too_long() -> None:
    line = filled(*[False] * MAX_QUEUED)
    assert not line.enqueue(Sender(MAX_QUEUED))
    assert len(admitted(line)) == PLACES
    assert line.enqueue(Sender(MAX_QUEUED))
    now = Sender(0).since
    assert line.remove_overdue(now) == []
    late = line.remove_overdue(float("inf"))
    assert [each.name for each in late] == [*range(PLACES, MAX_QUEUED), MAX_QUEUED]
    assert all(each.deadline - each.since == pytest.approx(LARGE_BODIES.max_wait) for each in late)
    assert line.admit() is None


def test_one_client_leaves_a_place_to_others() -> None:
    line = Admission[Sender](THREADS)
    for name in range(6):
        assert line.enqueue(Sender(name, client="one"))
    assert admitted(line) == [0, 1, 2]
    assert line.enqueue(Sender(9, client="other"))
    assert admitted(line) == [9]
    line.release(Sender(0, client="one"))
    assert admitted(line) == [], "the last place is not for who holds two"
    line.release(Sender(1, client="one"))
    assert admitted(line) == [3]


def test_one_client_leaves_a_place_for_a_huge_body() -> None:
    line = Admission[Sender](THREADS)
    for name in range(3):
        assert line.enqueue(Sender(name, is_huge=True, client="one"))
    assert admitted(line) == [0]
    assert line.enqueue(Sender(9, is_huge=True, client="other"))
    assert admitted(line) == [9]
    line.release(Sender(0, is_huge=True, client="one"))
    assert admitted(line) == [1]


def test_one_client_leaves_the_queue_to_others() -> None:
    line = Admission[Sender](THREADS)
    accepted = [line.enqueue(Sender(name, client="one")) for name in range(MAX_QUEUED)]
    assert sum(accepted) == MAX_QUEUED_BY_CLIENT
    assert line.enqueue(Sender(9, client="other"))
