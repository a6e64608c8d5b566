"""SQLite keeps a statement's parameters: after a large one, the connection is closed."""

from types import SimpleNamespace
from typing import Any

import pytest

from fugata_core.connections import LARGE_PARAMETER, note_large_parameters


def connection(vendor: str = "sqlite") -> Any:
    """A connection to a database that was opened three times."""
    made = SimpleNamespace(vendor=vendor, execute_wrappers=[], close_at=None)
    for _ in range(3):
        note_large_parameters(connection=made)
    return made


def execute(made: Any, *parameters: object) -> list[object]:
    """Execute a statement as Django does, and return what reached the driver."""
    reached: list[object] = []
    (wrapper,) = made.execute_wrappers
    wrapper(
        lambda sql, given, *_: reached.extend(given), "", parameters, False, {"connection": made}
    )
    return reached


def test_it_is_noted_once_however_often_it_is_opened() -> None:
    """One more for each opening would in the end be too many to call each other."""
    assert len(connection().execute_wrappers) == 1
    assert connection("postgresql").execute_wrappers == []


@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_after_a_large_value_it_is_closed(kind: Any) -> None:
    made = connection()
    for size, closed_at in ((LARGE_PARAMETER, None), (LARGE_PARAMETER + 1, 0.0)):
        value = kind(bytes(size))
        assert execute(made, "name", value) == ["name", value]
        assert made.close_at == closed_at
