"""What the Pods' specs and compose.yaml start, started here as they say it.

Three things are another's: addresses in the secret files (of the tests' own servers), the port
that is listened on, and PostgreSQL's socket, which is shown to each container.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import yaml

from tests.support.servers.container import USER, Container
from tests.support.servers.image import Image
from tests.support.servers.kubernetes import (
    SERVICE_TOKEN,
    WORKER_TOKEN,
    Json,
    KubernetesServer,
)
from tests.support.servers.kustomize import one, pods
from tests.support.servers.parts import free_port, plain_http, wait_until
from tests.support.servers.service import ROOT

COMPOSE = ROOT / "deploy" / "compose.yaml"
COMPOSE_VAULT = ROOT / "deploy" / "compose.vault.yaml"
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_SOCKET = "/run/postgresql/.s.PGSQL.5432"


def compose(file: Path = COMPOSE, **variables: str) -> Json:
    """Return a file of Compose with its variables filled in."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1], match[2])

    text = re.sub(r"(?<!\$)\$\{([A-Z_]+):-([^}]*)\}", value, file.read_text())
    loaded: Json = yaml.safe_load(text)
    return loaded


def merged(under: Any, over: Any) -> Any:
    """Return what Compose makes of two files: mappings are merged, lists put together."""
    if isinstance(under, dict) and isinstance(over, dict):
        both = {name: merged(under[name], over[name]) for name in under.keys() & over.keys()}
        return under | over | both
    return under + over if isinstance(under, list) and isinstance(over, list) else over


def database_url(url: str) -> tuple[str, Path]:
    """Return the URL as containers use it, and the socket that it leads to."""
    parts = urlsplit(url)
    (folder,) = parse_qs(parts.query)["host"]
    return f"postgresql://postgres@/{parts.path[1:]}?host=/run/postgresql", Path(folder)


@dataclass
class Part:
    """One container's definition, and its process here."""

    command: list[str]
    environment: dict[str, str]
    mounts: dict[str, Path]
    writable: list[str]
    image: Image
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.environment["PORT"])

    @property
    def log(self) -> Path:
        """What it writes."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def container(self, *command: str) -> Container:
        """Return the container, or another that runs `command` in its place."""
        return Container(
            list(command) or self.command,
            self.environment,
            self.folder,
            {"/opt/fugata": self.image.folder} | self.mounts,
            self.writable,
            workdir=self.image.workdir,
        )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run the command, or another like it, to its end."""
        return self.container(*command).run(timeout=120)

    def start(self) -> "Part":
        """Start the command."""
        with self.log.open("ab") as log:
            self.process = self.container().start(log)
        return self

    def execute(self, *command: str) -> int:
        """Run a command inside the running container, as a probe does; returns its status."""
        assert self.process is not None
        given = [f"{name}={value}" for name, value in self.environment.items()]
        inside = ["nsenter", f"--target={self.process.pid}", "--mount", "--root", "--wd"]
        inside += [f"--setuid={USER}", f"--setgid={USER}", "/usr/bin/env", "-i", *given, *command]
        return subprocess.run(inside, check=False, capture_output=True).returncode

    def answers(self, path: str) -> bool:
        """Return whether a GET of `path` is a 200, as a probe asks."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return plain_http.get(f"http://127.0.0.1:{self.port}{path}").status_code == 200
        except httpx.HTTPError:
            return False

    def wait_until_well(self) -> None:
        """Return once /healthz says so."""
        wait_until(lambda: self.answers("/healthz"), "a healthy web container", seconds=60)

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(timeout=60)
        finally:
            self.process.kill()  # nothing is left behind, whatever a test found


def client(part: Part, **headers: str) -> httpx.Client:
    """Return a client that speaks as the proxy in front does."""
    given = {"Host": "secrets.example.com", "X-Forwarded-Proto": "https"} | headers
    return httpx.Client(base_url=f"http://127.0.0.1:{part.port}", headers=given, timeout=60)


# --- Kubernetes ---


def secret_files(folder: Path, secrets: Mapping[str, str]) -> Path:
    """Lay the Secret's keys out as the kubelet does: 0440, for the pod's fsGroup."""
    folder.mkdir(parents=True)
    for name, text in secrets.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o440)
        os.chown(folder / name, 0, USER)
    return folder


def _account(folder: Path, server: KubernetesServer, token: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "token").write_text(token)
    (folder / "namespace").write_text("fugata")
    (folder / "ca.crt").write_bytes(server.authority.read_bytes())
    return folder


@dataclass
class Cluster:
    """The pods of an overlay."""

    objects: tuple[Json, ...]
    image: Image
    folder: Path
    secrets: Path
    accounts: dict[str, Path]
    server: KubernetesServer
    socket: Path
    parts: list[Part] = field(default_factory=list)

    def part(self, pod: str, container: str = "", more: Mapping[str, str] | None = None) -> Part:
        """Return a container of a pod, by default the one that has the pod's name."""
        spec = pods(self.objects)[pod]
        (found,) = [
            each
            for each in spec["containers"] + spec.get("initContainers", [])
            if each["name"] == (container or pod)
        ]
        made = Part(
            found.get("command") or self.image.command,
            self._environment(found) | dict(more or {}),
            self._mounts(spec, found),
            self._writable(spec, found),
            self.image,
            self.folder / f"{pod}-{found['name']}-{len(self.parts)}",
        )
        self.parts.append(made)
        return made

    def _environment(self, container: Json) -> dict[str, str]:
        given = {each["name"]: each["value"] for each in container.get("env", [])}
        (reference,) = container["envFrom"]
        settings = one(self.objects, "ConfigMap", "fugata")
        assert reference["configMapRef"]["name"] == settings["metadata"]["name"]
        of_the_cluster = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.server.port),
            "PORT": str(free_port()),
        }
        made: dict[str, str] = self.image.environment | settings["data"] | given | of_the_cluster
        return made

    def _mounts(self, spec: Json, container: Json) -> dict[str, Path]:
        (secret,) = [v["name"] for v in spec["volumes"] if "secret" in v]
        places = [m for m in container["volumeMounts"] if m["name"] == secret]
        mounts = {place["mountPath"]: self.secrets for place in places}
        account = self.accounts[spec["serviceAccountName"]]
        return mounts | {_ACCOUNT: account, _SOCKET: self.socket / ".s.PGSQL.5432"}

    def _writable(self, spec: Json, container: Json) -> list[str]:
        empty = [v["name"] for v in spec["volumes"] if "emptyDir" in v]
        return [m["mountPath"] for m in container["volumeMounts"] if m["name"] in empty]

    def close(self) -> None:
        """End what still runs."""
        for part in self.parts:
            part.stop()


def cluster(
    objects: tuple[Json, ...],
    image: Image,
    folder: Path,
    server: KubernetesServer,
    secrets: Mapping[str, str],
    socket: Path,
) -> Cluster:
    """Return the pods of an overlay, with a Secret of these keys."""
    files = secret_files(folder / "secret", secrets)
    tokens = {"fugata": SERVICE_TOKEN, "fugata-worker": WORKER_TOKEN}
    accounts = {name: _account(folder / name, server, token) for name, token in tokens.items()}
    return Cluster(objects, image, folder, files, accounts, server, socket)


# --- compose ---


def service_part(
    name: str, image: Image, folder: Path, secrets: Path, socket: Path, **variables: str
) -> Part:
    """Return the container of a service of compose.yaml; `secrets`: where its files are."""
    whole = compose(COMPOSE, **variables)
    service = whole["services"][name]
    assert service["read_only"] is True
    files = {key: secrets / Path(whole["secrets"][key]["file"]).name for key in service["secrets"]}
    return Part(
        service.get("command") or image.command,
        image.environment | service["environment"] | {"PORT": str(free_port())},
        {f"/run/secrets/{key}": path for key, path in files.items()}
        | {_SOCKET: socket / ".s.PGSQL.5432"},
        [place.partition(":")[0] for place in service["tmpfs"]]
        + [volume.split(":")[1] for volume in service.get("volumes", [])],
        image,
        folder / name,
    )


def last_json(text: str) -> Any:
    """Return the JSON of a command's last line."""
    return json.loads(text.strip().splitlines()[-1])
