"""`make kube-assets`: it builds once, says what it does, and leaves no half a cache."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.servers.kubernetes import assets, version
from tests.support.servers.parts import wait_until
from tests.support.servers.service import ROOT

pytestmark = pytest.mark.processes

SCRIPT = ROOT / "tests" / "kubernetes" / "build_assets.sh"
BINARIES = ("etcd", "kube-apiserver", "kubectl")
#: A Go that says its version; what else it does is a test's own.
GO = '#!/bin/sh\n[ "$1" = env ] && echo "$SAYS" && exit\necho built >>"$HOME/built"\n'
#: It makes what it is told to: into a folder, or one file.
MAKES = """
env >>"$HOME/environment"
while [ "$1" != -o ]; do shift; done
case $2 in
*/) mkdir -p "$2" && touch "$2/kube-apiserver" "$2/kubectl" && chmod +x "$2"/* ;;
*) touch "$2" && chmod +x "$2" ;;
esac
"""


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment with a home of its own, and the tools of `home`/bin first."""
    ours = ("KUBEBUILDER_ASSETS", "XDG_CACHE_HOME")
    inherited = {name: text for name, text in os.environ.items() if name not in ours}
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    return inherited | {"HOME": str(home), "PATH": path, "SAYS": "go1.99.0"} | more


def run(home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the script."""
    given = environment(home, **more)
    return subprocess.run([str(SCRIPT)], env=given, capture_output=True, text=True, check=False)


def stub(path: Path, content: str = "#!/bin/sh\nexit 1\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o755)


def cache(home: Path) -> Path:
    return home / ".cache" / "fugata" / "envtest"


def test_it_builds_once_whatever_the_settings_of_go(tmp_path: Path) -> None:
    stub(tmp_path / "bin" / "go", GO + MAKES)
    theirs = {"GOFLAGS": "-mod=vendor", "GOWORK": "/else", "GOTOOLCHAIN": "auto", "GOPROXY": "own"}
    done = run(tmp_path, **theirs)
    assert done.returncode == 0, done.stderr
    target = cache(tmp_path) / version()
    assert sorted(path.name for path in target.iterdir()) == list(BINARIES)
    assert list(cache(tmp_path).iterdir()) == [target]
    assert done.stdout.endswith(f"kube-assets: ready: {target}\n")
    seen = (tmp_path / "environment").read_text().splitlines()
    for wanted in ("GOFLAGS=-mod=readonly", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0"):
        assert seen.count(wanted) == 2
    assert seen.count("GOPROXY=own") == 2
    before = (tmp_path / "built").read_text()
    assert run(tmp_path).stdout == f"kube-assets: ready: {target}\n"
    assert (tmp_path / "built").read_text() == before


def test_binaries_from_elsewhere_are_taken(tmp_path: Path) -> None:
    stub(tmp_path / "given" / "kube-apiserver")
    done = run(tmp_path, KUBEBUILDER_ASSETS=str(tmp_path / "given"))
    assert done.stdout == f"kube-assets: ready: {tmp_path / 'given'}\n"
    assert not (tmp_path / ".cache").exists()


def test_a_build_that_fails_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    stub(tmp_path / "bin" / "go", GO + "echo no route to the module; exit 1\n")
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stderr == "no route to the module\nkube-assets: the build of kubernetes failed.\n"
    assert list(cache(tmp_path).iterdir()) == []


def test_a_build_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    stub(tmp_path / "bin" / "go", GO + "exec sleep 600\n")
    process = subprocess.Popen(
        [str(SCRIPT)], env=environment(tmp_path), start_new_session=True, stdout=subprocess.DEVNULL
    )
    wait_until((tmp_path / "built").exists, "a build that has begun")
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    assert list(cache(tmp_path).iterdir()) == []


@pytest.mark.parametrize("found", ["go1.19.8", "go1.9", ""])
def test_a_go_that_is_too_old_or_missing(tmp_path: Path, found: str) -> None:
    """One sentence says what to do, and nothing is begun."""
    path = str(tmp_path / "bin")
    for name in ("bash", "env", "sed", "dirname", "sort"):
        stub(tmp_path / "bin" / name, f'#!/bin/sh\nexec {shutil.which(name)} "$@"\n')
    if found:
        stub(tmp_path / "bin" / "go", GO)
    done = run(tmp_path, PATH=path, SAYS=found)
    assert done.returncode == 1
    assert re.fullmatch(
        rf"kube-assets: Go 1\.\d+\.\d+ or newer is needed \(found: {found or 'none'}\): install it,"
        r" or point KUBEBUILDER_ASSETS at a folder that setup-envtest made\.\n",
        done.stderr,
    )
    assert not (tmp_path / ".cache").exists()


def test_all_modules_of_kubernetes_are_of_one_release() -> None:
    """Who raises the version raises 34 lines."""
    module = (SCRIPT.parent / "assets" / "kubernetes" / "go.mod").read_text()
    replaced = re.findall(r"^\t(k8s\.io/\S+) => (k8s\.io/\S+) v0(\S+)$", module, re.MULTILINE)
    assert len(replaced) > 30
    assert {(name, name, version().removeprefix("1")) for name, *_ in replaced} == set(replaced)


def test_the_tests_find_what_the_script_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert assets() is None
    made = tmp_path / "cache" / "fugata" / "envtest" / version()
    stub(made / "kube-apiserver")
    assert assets() == made
    stub(tmp_path / "given" / "kube-apiserver")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "given"))
    assert assets() == tmp_path / "given"
