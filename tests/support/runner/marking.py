"""How a folder's conftest marks the tests in it, which decides in which pass they run."""

from collections.abc import Callable
from pathlib import Path

import pytest

Hook = Callable[[list[pytest.Item]], None]


def marks(conftest: str, *markers: str) -> Hook:
    """Return the hook that marks all tests beside `conftest` (its `__file__`)."""
    folder = Path(conftest).parent

    def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
        for item in items:
            if item.path.parent == folder:
                for marker in markers:
                    item.add_marker(marker)

    return pytest_collection_modifyitems
