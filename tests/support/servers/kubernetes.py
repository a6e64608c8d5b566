"""A real Kubernetes API server with RBAC, and no cluster: what Secrets need is not more.

The binaries are those of KUBEBUILDER_ASSETS, or the ones that `make kube-assets` made.
"""

import base64
import datetime
import ipaddress
import itertools
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.support.servers.parts import free_port, wait_until
from tests.support.servers.service import ROOT

_MODULE = ROOT / "tests" / "kubernetes" / "assets" / "kubernetes" / "go.mod"
MANIFESTS = ROOT / "deploy" / "kubernetes"
SHIPPED = (
    "base/namespaces.yaml",
    "base/serviceaccount.yaml",
    "base/role.yaml",
    "base/rolebinding.yaml",
    "base/audit-head.yaml",
)
VALUES = "fugata-values"
ADMIN_TOKEN = "administrator-of-the-tests"
SERVICE_TOKEN = "service-account-fugata"
WORKER_TOKEN = "service-account-worker"
#: The identities of the shipped ServiceAccounts, as a pod's token would give them.
SERVICE_USER = "system:serviceaccount:fugata:fugata"
WORKER_USER = "system:serviceaccount:fugata:fugata-worker"
_GROUPS = "system:serviceaccounts,system:serviceaccounts:fugata,system:authenticated"
HOW = "make kube-assets builds one; or set KUBEBUILDER_ASSETS (CONTRIBUTING.md)"

_numbers = itertools.count(1)
Json = dict[str, Any]


def version() -> str:
    """Return the version of Kubernetes that `make kube-assets` builds, by which its folder goes."""
    found = re.search(r"k8s\.io/kubernetes v([0-9.]+)", _MODULE.read_text())
    assert found
    return found[1]


def assets() -> Path | None:
    """Return the folder with kube-apiserver, etcd and kubectl, or None where there is none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folders = [cache / "fugata" / "envtest" / version()]
    if given := os.environ.get("KUBEBUILDER_ASSETS"):
        folders.insert(0, Path(given))
    found = (folder for folder in folders if os.access(folder / "kube-apiserver", os.X_OK))
    return next(found, None)


class KubernetesServer:
    """etcd and kube-apiserver, with the shipped manifests applied as their users would."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fugata-kubernetes-"))
        _make_credentials(self.folder)
        ports = [free_port() for _ in range(3)]
        (self.folder / "ports").write_text(" ".join(map(str, ports)))
        self._use(self.folder)
        self._etcd = self._start_etcd()
        self.process = self._start_server()
        self.wait_until_well()
        self.kubectl("apply", *(f"--filename={MANIFESTS / name}" for name in SHIPPED))

    def _use(self, folder: Path) -> None:
        """Speak with the server whose files are in `folder`."""
        binaries = assets()
        assert binaries, f"no Kubernetes API server: {HOW}"
        self.folder, self._binaries = folder, binaries
        ports = (folder / "ports").read_text().split()
        self.port, self._etcd_port, self._peer_port = map(int, ports)
        self.url, self._etcd_url = f"https://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
        context = ssl.create_default_context(cafile=str(self.authority))
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        self.admin = httpx.Client(base_url=self.url, headers=headers, verify=context, timeout=60)

    @property
    def authority(self) -> Path:
        """The certificate that vouches for the server."""
        return self.folder / "server.crt"

    # --- processes ---

    def _start_etcd(self) -> subprocess.Popen[bytes]:
        peer = f"http://127.0.0.1:{self._peer_port}"
        command = [str(self._binaries / "etcd"), f"--data-dir={self.folder / 'etcd'}"]
        command += [f"--listen-client-urls={self._etcd_url}", f"--listen-peer-urls={peer}"]
        command += [f"--advertise-client-urls={self._etcd_url}", "--log-level=error"]
        command += [f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"]
        return self._spawn(command, "etcd.log")

    def _start_server(self) -> subprocess.Popen[bytes]:
        at = self.folder
        command = [str(self._binaries / "kube-apiserver"), f"--etcd-servers={self._etcd_url}"]
        command += [f"--secure-port={self.port}", "--bind-address=127.0.0.1"]
        command += [f"--tls-cert-file={at / 'server.crt'}", f"--cert-dir={at}"]
        command += [f"--tls-private-key-file={at / 'server.key'}"]
        command += [f"--service-account-key-file={at / 'tokens.key'}"]
        command += [f"--service-account-signing-key-file={at / 'tokens.key'}"]
        command += ["--service-account-issuer=https://kubernetes.default.svc"]
        command += [f"--token-auth-file={at / 'tokens.csv'}", "--authorization-mode=RBAC"]
        command += ["--service-cluster-ip-range=10.0.0.0/24", "--v=0"]
        command += ["--disable-admission-plugins=ServiceAccount"]
        return self._spawn(command, "apiserver.log")

    def _spawn(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as file:
            return subprocess.Popen(command, stdout=file, stderr=file, cwd=self.folder)

    def is_well(self) -> bool:
        """Return whether the server answers, with the roles that it makes at its start."""
        if self.process.poll() is not None:
            log = (self.folder / "apiserver.log").read_text(errors="replace")
            raise AssertionError(f"the API server ended: {log[-2000:]}")
        try:
            return self.admin.get("/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def wait_until_well(self) -> None:
        """Return as soon as the server can be used."""
        wait_until(self.is_well, "a Kubernetes API server", seconds=90)

    def kill(self) -> None:
        """Kill the API server; what it keeps stays."""
        self.thaw()
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ask the API server to end, and wait until it has."""
        self.process.terminate()
        self.process.wait(60)

    def start(self) -> None:
        """Start the API server again and wait until it is well."""
        self.process = self._start_server()
        self.wait_until_well()

    def kill_etcd(self) -> None:
        """Kill etcd, in which the API server keeps everything; that stays."""
        self.thaw_etcd()
        self._etcd.kill()
        self._etcd.wait()

    def stop_etcd(self) -> None:
        """Ask etcd to end, and wait until it has."""
        self._etcd.terminate()
        self._etcd.wait(60)

    def start_etcd(self) -> None:
        """Start etcd again and wait until the API server is well."""
        self._etcd = self._start_etcd()
        self.wait_until_well()

    def freeze_etcd(self) -> None:
        """Make etcd hang."""
        self._etcd.send_signal(signal.SIGSTOP)

    def thaw_etcd(self) -> None:
        """Let it go on."""
        self._etcd.send_signal(signal.SIGCONT)

    def freeze(self) -> None:
        """Make it hang: it accepts connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End both processes and remove what they kept."""
        self.admin.close()
        self.kill()
        self._etcd.kill()
        self._etcd.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- access ---

    def kubeconfig(self, token: str = SERVICE_TOKEN, url: str | None = None) -> Path:
        """Return a new kubeconfig file: by default the shipped ServiceAccount's own rights.

        `url`: another way to the server, such as a proxy's.
        """
        cluster = {"server": url or self.url, "certificate-authority": str(self.authority)}
        if url and url.startswith("http:"):
            del cluster["certificate-authority"]
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        path = self.folder / f"kubeconfig-{os.getpid()}-{next(_numbers)}"
        path.write_text(yaml.safe_dump(content))
        return path

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """Run kubectl and return what it wrote; a warning of the API server is a failure."""
        command = [str(self._binaries / "kubectl"), "--cache-dir", str(self.folder / "kubectl")]
        command += ["--kubeconfig", str(self.kubeconfig(ADMIN_TOKEN)), *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr, done.stderr
        return done.stdout

    def may(self, namespace: str, verb: str) -> bool:
        """Return whether the service may do that with Secrets."""
        attributes = {"namespace": namespace, "verb": verb, "resource": "secrets"}
        groups = _GROUPS.split(",")
        review = {
            "spec": {"user": SERVICE_USER, "groups": groups, "resourceAttributes": attributes}
        }
        made = self.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(made["status"]["allowed"])

    def new_namespace(self, name: str = "") -> str:
        """Return an empty namespace of values, with the shipped Role and RoleBinding in it.

        They are the files' own; their namespace alone is another.
        """
        name = name or f"values-{os.getpid()}-{next(_numbers)}"
        self.create("/api/v1/namespaces", {"metadata": {"name": name}})
        for file, kind in (("base/role.yaml", "roles"), ("base/rolebinding.yaml", "rolebindings")):
            manifest = yaml.safe_load((MANIFESTS / file).read_text())
            manifest["metadata"]["namespace"] = name
            self.create(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/{kind}", manifest)
        wait_until(lambda: self.may(name, "create"), "rights in a new namespace")
        return name

    def settings(self, namespace: str | None = None, url: str | None = None) -> dict[str, str]:
        """Return the settings of a service that keeps its values here."""
        return {
            "VALUE_STORE": "kubernetes",
            "KUBECONFIG": str(self.kubeconfig(url=url)),
            "KUBERNETES_NAMESPACE": namespace or self.new_namespace(),
        }

    # --- what is kept, as the administrator sees it ---

    def create(self, path: str, manifest: Json) -> Json:
        """Create an object."""
        answer = self.admin.post(path, json=manifest)
        assert answer.status_code == 201, answer.text
        made: Json = answer.json()
        return made

    def secrets(self, namespace: str) -> list[Json]:
        """Return all Secrets of a namespace."""
        answer = self.admin.get(f"/api/v1/namespaces/{namespace}/secrets")
        assert answer.status_code == 200, answer.text
        items: list[Json] = answer.json()["items"]
        return items

    def names(self, namespace: str) -> list[str]:
        """Return the names of all Secrets of a namespace, sorted."""
        return sorted(item["metadata"]["name"] for item in self.secrets(namespace))

    def age(self, namespace: str, stamp: str = "2020-01-01T00:00:00Z") -> None:
        """Have all Secrets of a namespace made long ago: reconciliation leaves new ones alone."""
        old = ({"creationTimestamp": stamp, "managedFields": None},)
        aged = self.secrets(namespace)
        for item in aged:
            item["metadata"] |= old[0]
        self.plant(namespace, aged, together=1)

    def delete_secret(self, namespace: str, name: str) -> None:
        """Delete a Secret past Fugata."""
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        assert self.admin.delete(path).status_code == 200

    def plant(self, namespace: str, manifests: Iterable[Json], together: int = 100) -> None:
        """Write Secrets into etcd past the API server, which dates objects itself.

        `creationTimestamp` is the manifests' own; so many go `together` in one transaction.
        """
        with httpx.Client(base_url=self._etcd_url, timeout=60) as etcd:
            puts = (_put(namespace, manifest) for manifest in manifests)
            while batch := list(itertools.islice(puts, together)):
                answer = etcd.post("/v3/kv/txn", json={"success": batch})
                assert answer.status_code == 200, answer.text

    def set_full(self, full: bool) -> None:
        """Have etcd raise the alarm by which it refuses to keep more, or end it."""
        alarm = {"action": "ACTIVATE" if full else "DEACTIVATE", "alarm": "NOSPACE"}
        with httpx.Client(base_url=self._etcd_url, timeout=60) as etcd:
            members = etcd.post("/v3/cluster/member/list", json={}).json()["members"]
            for member in members:
                asked = alarm | {"memberID": member["ID"]}
                assert etcd.post("/v3/maintenance/alarm", json=asked).status_code == 200

    def compact(self) -> None:
        """Make etcd forget its past, as it does every few minutes: old listings end there."""
        with httpx.Client(base_url=self._etcd_url, timeout=60) as etcd:
            key = base64.b64encode(b"/").decode()
            revision = etcd.post("/v3/kv/range", json={"key": key}).json()["header"]["revision"]
            fields = {"revision": revision, "physical": True}
            assert etcd.post("/v3/kv/compaction", json=fields).status_code == 200


class SharedKubernetesServer(KubernetesServer):
    """The server that another process started, for all passes of a run; nobody here stops it."""

    def __init__(self, folder: Path) -> None:
        self._use(folder)

    def close(self) -> None:
        """Leave it to the others."""
        self.admin.close()


def _put(namespace: str, manifest: Json) -> Json:
    metadata = manifest["metadata"] | {"namespace": namespace}
    whole = {"kind": "Secret", "apiVersion": "v1", "type": "Opaque", **manifest}
    whole |= {"metadata": metadata}
    key = f"/registry/secrets/{namespace}/{metadata['name']}"
    return {"request_put": {"key": _base64(key), "value": _base64(json.dumps(whole))}}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# --- credentials ---


def _make_credentials(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "server.key").write_bytes(_pem(key))
    certificate = self_signed(key).public_bytes(serialization.Encoding.PEM)
    (folder / "server.crt").write_bytes(certificate)
    tokens = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "tokens.key").write_bytes(_pem(tokens))
    rows = [f'{ADMIN_TOKEN},administrator,1,"system:masters"']
    rows += [f'{SERVICE_TOKEN},{SERVICE_USER},2,"{_GROUPS}"']
    rows += [f'{SERVICE_TOKEN}-renewed,{SERVICE_USER},2,"{_GROUPS}"']
    rows += [f'{WORKER_TOKEN},{WORKER_USER},3,"{_GROUPS}"']
    (folder / "tokens.csv").write_text("\n".join(rows) + "\n")


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Return a certificate that vouches for itself, as strict clients want it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=2))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(own, critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    builder = builder.add_extension(issuer, critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(key, hashes.SHA256())
