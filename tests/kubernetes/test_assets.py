"""`make kube-assets`: it builds once, says what it does, and leaves no half a cache."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.kubernetes import VERSION, assets
from tests.support.service import ROOT

pytestmark = pytest.mark.processes

SCRIPT = ROOT / "tests" / "kubernetes" / "build_assets.sh"


def run(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script with a home of its own."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("KUBEBUILDER_ASSETS", "HOME")}
    inherited.pop("XDG_CACHE_HOME", None)
    return subprocess.run(
        [str(SCRIPT)],
        env=inherited | {"HOME": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def stub(path: Path, content: str = "#!/bin/sh\nexit 1\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o755)


def test_a_finished_cache_is_left_alone(tmp_path: Path) -> None:
    cache = tmp_path / ".cache" / "fugata" / "envtest" / VERSION
    stub(cache / "kube-apiserver")
    done = run(tmp_path, PATH=os.environ["PATH"])
    assert (done.returncode, done.stdout) == (0, f"kube-assets: ready: {cache}\n")


def test_binaries_from_elsewhere_are_taken(tmp_path: Path) -> None:
    stub(tmp_path / "given" / "kube-apiserver")
    done = run(tmp_path, KUBEBUILDER_ASSETS=str(tmp_path / "given"))
    assert done.returncode == 0
    assert not (tmp_path / ".cache").exists()


@pytest.mark.skipif(not shutil.which("apt-get"), reason="Debian's alone")
def test_a_build_that_fails_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    """Every tool is there, and Debian can't be reached."""
    tools = tmp_path / "bin"
    for name in ("go", "make", "rsync", "jq", "dpkg-source", "patch", "apt-get"):
        stub(tools / name)
    done = run(tmp_path, PATH=f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert "could not be fetched" in done.stderr
    assert list((tmp_path / ".cache" / "fugata" / "envtest").iterdir()) == []


def test_a_machine_without_apt_is_told_what_to_do(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "env", "id"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    done = run(tmp_path, PATH=str(tools))
    assert done.returncode == 1
    assert "KUBEBUILDER_ASSETS" in done.stderr


def test_the_tests_find_what_the_script_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert assets() is None
    cache = tmp_path / "cache" / "fugata" / "envtest" / VERSION
    stub(cache / "kube-apiserver")
    assert assets() == cache
    stub(tmp_path / "given" / "kube-apiserver")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "given"))
    assert assets() == tmp_path / "given"
