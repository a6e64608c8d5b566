"""Each client in turn, and the fault server."""

import functools
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.support import EXAMPLES, Client, FaultServer
from tests.support.runner.marking import marks

pytest_collection_modifyitems = marks(__file__, "processes", "outside")

RUNTIMES = {"python": "python3", "javascript": "node", "curl": "curl", "go": "go"}


@functools.cache
def go_binary(folder: Path) -> str:
    """Build the Go client once: `go run` hides the exit status."""
    source, target = EXAMPLES / "go_example.go", folder / "go_example"
    subprocess.run(["go", "build", "-o", target, source], check=True, timeout=300)
    return str(target)


@pytest.fixture(scope="session")
def build_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the Go client is built."""
    return tmp_path_factory.mktemp("go")


@pytest.fixture(params=RUNTIMES)
def client(
    request: pytest.FixtureRequest, require: Callable[[str, object], None], build_folder: Path
) -> Client:
    """Return each client in turn."""
    name: str = request.param
    require(RUNTIMES[name], shutil.which(RUNTIMES[name]))
    commands: dict[str, Callable[[], list[str]]] = {
        "python": lambda: ["python3", str(EXAMPLES / "python_example.py")],
        "javascript": lambda: ["node", str(EXAMPLES / "javascript_example.js")],
        "curl": lambda: ["sh", str(EXAMPLES / "curl_example.sh")],
        "go": lambda: [go_binary(build_folder)],
    }
    return Client(name, commands[name]())


@pytest.fixture
def faults() -> Iterator[FaultServer]:
    """Run a fault server."""
    with FaultServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
