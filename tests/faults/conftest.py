"""One installation under load, whose parts fail one after the other."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Require
from tests.support.clients.keeping import keeper
from tests.support.load.under_faults import Load
from tests.support.runner.marking import marks
from tests.support.servers.installation import RunningInstallation
from tests.support.servers.kubernetes import HOW, assets

pytest_collection_modifyitems = marks(__file__, "processes", "faults")

#: PostgreSQL's disk, in MB: what its tables and journal need, and little more.
DISK = 400


@dataclass(frozen=True)
class Scene:
    """The installation, the load on it, and the access to its one repository."""

    installation: RunningInstallation
    load: Load
    place: str
    token: str
    disk: Path


@pytest.fixture(scope="session")
def minutes() -> float:
    """How long faults come at random; `make soak MINUTES=…` raises it."""
    return float(os.environ.get("FUGATA_FAULT_MINUTES", "0"))


@pytest.fixture(scope="module")
def disk(require: Require) -> Iterator[Path]:
    """A file system of its own, which can be full. Not in pytest's folder: each pytest that starts
    closes that to others, such as PostgreSQL's user.
    """
    require("root, to mount a small disk", os.geteuid() == 0)
    parent = Path(tempfile.mkdtemp(prefix="fugata-disk-"))
    folder = parent / "disk"
    folder.mkdir()
    options = f"size={DISK}m,mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    shutil.rmtree(parent)


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory, disk: Path, require: Require
) -> Iterator[Scene]:
    """Everything running, and under load until the last test ends it."""
    require(f"A Kubernetes API server ({HOW})", assets())
    installation = RunningInstallation(tmp_path_factory.mktemp("installation"), disk)
    try:
        keep = keeper(installation.operator)
        urls = [web.url for web in installation.webs()]
        with Load(urls, keep.place, keep.token) as load:
            yield Scene(installation, load, keep.place, keep.token, disk)
    finally:
        installation.close()
