"""The manifests of deploy/kubernetes, as kubectl's kustomize renders them."""

import os
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.service import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("small", "large")
#: The first kubectl that renders what is written today.
OLDEST = 28
HOW = "make kube-assets fetches one"
Json = dict[str, Any]


@lru_cache
def kubectl() -> str | None:
    """Return the path of a kubectl of today, or None."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    candidates = [shutil.which("kubectl"), str(cache / "fugata" / "kubectl" / "1.36" / "kubectl")]
    return next((path for path in candidates if path and _minor(path) >= OLDEST), None)


def _minor(path: str) -> int:
    if not os.access(path, os.X_OK):
        return 0
    command = [path, "version", "--client"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"Client Version: v1\.([0-9]+)", said)
    return int(found[1]) if found else 0


@lru_cache
def rendered(folder: Path) -> tuple[Json, ...]:
    """Return the objects that a kustomization makes."""
    path = kubectl()
    assert path, f"no kubectl of today: {HOW}"
    done = subprocess.run(
        [path, "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # kustomize warns of what is out of date
    return tuple(yaml.safe_load_all(done.stdout))


def overlay(name: str) -> tuple[Json, ...]:
    """Return the objects of one of the overlays."""
    return rendered(KUBERNETES / "overlays" / name)


def one(objects: tuple[Json, ...], kind: str, name: str) -> Json:
    """Return an object; kustomize may have added a digest to its name."""
    (found,) = [
        each
        for each in objects
        if each["kind"] == kind and re.fullmatch(f"{name}(-[a-z0-9]{{10}})?", _name(each))
    ]
    return found


def _name(each: Json) -> str:
    return str(each["metadata"]["name"])


def pods(objects: tuple[Json, ...]) -> dict[str, Json]:
    """Return the pods' specs by component."""
    made = [each for each in objects if each["kind"] in ("Deployment", "Job")]
    return {_name(each): each["spec"]["template"]["spec"] for each in made}
