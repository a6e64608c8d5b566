"""The image of deploy/Dockerfile, made by its own instructions on this machine.

The base image is the machine with the Python that runs the tests. Of the last stage only what
concerns Fugata is carried out: its RUN changes the base image itself.
"""

import json
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers.container import Container
from tests.support.servers.service import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
#: How pip is told where packages come from is the machine's own matter.
_PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE", "PIP_CERT")
Instruction = tuple[str, str]


def instructions() -> list[list[Instruction]]:
    """Return the instructions of each stage, the words before the first FROM left out."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    stages: list[list[Instruction]] = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        if stages:
            stages[-1].append((word, " ".join(rest.split())))
    return stages


@dataclass(frozen=True)
class Image:
    """What the Dockerfile made: /opt/fugata, and how containers of it begin."""

    folder: Path
    environment: dict[str, str]
    workdir: str
    command: list[str]
    user: str


def build(folder: Path) -> Image:
    """Carry out the Dockerfile, with `folder` in the place of /opt/fugata."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    first, last = instructions()
    _carry_out(first, folder)
    environment = _python() | _variables(last)
    said = dict(last)
    return Image(folder, environment, said["WORKDIR"], json.loads(said["CMD"]), said["USER"])


def _python() -> dict[str, str]:
    return {"PATH": f"{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin"}


def _variables(stage: list[Instruction]) -> dict[str, str]:
    path = _python()["PATH"]
    pairs = [shlex.split(rest.replace("$PATH", path)) for word, rest in stage if word == "ENV"]
    return dict(pair.split("=", 1) for line in pairs for pair in line)


def _carry_out(stage: list[Instruction], folder: Path) -> None:
    environment = _python() | _variables(stage)
    environment |= {name: os.environ[name] for name in _PIP if name in os.environ}
    workdir = "/"
    for word, rest in stage:
        if word == "WORKDIR":
            workdir = rest
            _inside(folder, rest).mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            _copy(folder, workdir, rest)
        elif word == "RUN":
            _run(folder, workdir, rest, environment)


def _inside(folder: Path, path: str) -> Path:
    return folder / Path(path).relative_to("/opt/fugata")


def _copy(folder: Path, workdir: str, rest: str) -> None:
    source, target = rest.split()
    place = _inside(folder, str(Path(workdir) / target))
    if (ROOT / source).is_dir():
        shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        shutil.copy(ROOT / source, place / source if place.is_dir() else place)


def _run(folder: Path, workdir: str, command: str, environment: dict[str, str]) -> None:
    done = Container(
        ["sh", "-ec", command],
        environment,
        folder.with_name(f"{folder.name}-root"),
        shared={"/opt/fugata": folder},
        writable=["/tmp"],
        workdir=workdir,
        root_user=True,
    ).run(timeout=900)
    assert done.returncode == 0, f"RUN {command}: {done.stdout}{done.stderr}"
