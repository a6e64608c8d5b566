"""The manifests of deploy/kubernetes, as kubectl's kustomize renders them."""

import os
import re
import subprocess
from functools import lru_cache
from pathlib import Path

import yaml

from tests.support.servers.kubernetes import HOW, MANIFESTS, Json, assets

OVERLAYS = ("small", "large")


@lru_cache
def rendered(folder: Path) -> tuple[Json, ...]:
    """Return the objects that a kustomization makes."""
    binaries = assets()
    assert binaries, f"no kubectl: {HOW}"
    command = [str(binaries / "kubectl"), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # kustomize warns of what is out of date
    return tuple(yaml.safe_load_all(done.stdout))


def overlay(name: str) -> tuple[Json, ...]:
    """Return the objects of one of the overlays."""
    return rendered(MANIFESTS / "overlays" / name)


def with_component(name: str, component: str, folder: Path) -> tuple[Json, ...]:
    """Return the objects of an overlay with one of the components; `folder`: an empty one."""
    folder = folder.resolve()
    wanted = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(MANIFESTS / "overlays" / name, folder)],
        "components": [os.path.relpath(MANIFESTS / "components" / component, folder)],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    return rendered(folder)


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
