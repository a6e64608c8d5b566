"""The shipped examples, run as they are: a CI job and a pod that fetch a secret with curl."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from tests.conftest import Require
from tests.support.clients.keeping import keeper
from tests.support.servers.kubernetes import MANIFESTS
from tests.support.servers.service import Service

pytestmark = pytest.mark.processes

VALUE = "postgresql://user:p\"ss'$word@db/name\n\twith \\ and €"
EXAMPLES = MANIFESTS / "examples"


@pytest.fixture(scope="module")
def token(service: Service, require: Require) -> str:
    """A token of the repository that the examples name."""
    require("curl", shutil.which("curl"))
    keep = keeper(service, "my-repo")
    assert keep.set("DATABASE_URL", VALUE).status == 201
    return keep.token


def test_the_examples(service: Service, token: str, require: Require, tmp_path: Path) -> None:
    """The job gives the value to what it runs; the pod's first container writes the answer."""
    require("jq", shutil.which("jq"))
    job = [str(EXAMPLES / "ci-job.sh"), "sh", "-c", 'printf %s "$DATABASE_URL"']
    environment = os.environ | {"FUGATA_URL": service.url, "FUGATA_TOKEN": token}
    done = subprocess.run(job, env=environment, capture_output=True, check=True)
    assert done.stdout.decode() == VALUE
    assert token not in done.stderr.decode()

    pod = yaml.safe_load((EXAMPLES / "pod.yaml").read_text())
    (container,) = pod["spec"]["initContainers"]
    (script,) = container["args"]
    for folder in ("token", "values"):
        (tmp_path / folder).mkdir()
        script = script.replace(f" /{folder}/", f" {tmp_path}/{folder}/")
        script = script.replace(f">/{folder}/", f">{tmp_path}/{folder}/")
        script = script.replace(f"@/{folder}/", f"@{tmp_path}/{folder}/")
    (tmp_path / "token" / "token").write_text(token)
    environment = os.environ | {"FUGATA": service.url}
    subprocess.run([*container["command"], script], env=environment, check=True)
    written = {path.name: path.read_text() for path in (tmp_path / "values").iterdir()}
    assert {name: json.loads(text) for name, text in written.items()} == {
        "answer.json": {"secret_value": VALUE}
    }


def test_a_job_without_its_secret_fails(service: Service, require: Require) -> None:
    require("jq", shutil.which("jq"))
    job = [str(EXAMPLES / "ci-job.sh"), "true"]
    environment = os.environ | {"FUGATA_URL": service.url, "FUGATA_TOKEN": "fgt_wrong"}
    done = subprocess.run(job, env=environment, capture_output=True, check=False)
    assert done.returncode != 0
    assert "fgt_wrong" not in done.stderr.decode()


# --- The External Secrets Operator's webhook provider --------------------------------------------


def _replayed(service: Service, token: str, key: str) -> httpx.Response:
    """Send what the operator makes of the shipped SecretStore for one remoteRef."""
    store, _ = yaml.safe_load_all((EXAMPLES / "external-secrets.yaml").read_text())
    webhook = store["spec"]["provider"]["webhook"]
    values = {"{{ .remoteRef.key }}": key, "{{ .auth.token }}": token}

    def rendered(text: str) -> str:
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        assert "{{" not in text
        return text

    url = rendered(webhook["url"]).replace("https://secrets.example.com", service.url)
    headers = {name: rendered(text) for name, text in webhook["headers"].items()}
    # As Go's client does: it asks for gzip, and says its own name.
    headers |= {"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"}
    return httpx.request(webhook["method"], url, headers=headers, timeout=20)


def test_the_operator_s_requests(service: Service, token: str) -> None:
    """It takes what `$.secret_value` finds in a 200; a 404 for "deleted", all else for an error."""
    store, external = yaml.safe_load_all((EXAMPLES / "external-secrets.yaml").read_text())
    assert store["spec"]["provider"]["webhook"]["result"]["jsonPath"] == "$.secret_value"
    (entry,) = external["spec"]["data"]
    answer = _replayed(service, token, entry["remoteRef"]["key"])
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"secret_value": VALUE}
    assert _replayed(service, token, "NOT_SET").status_code == 404
    assert _replayed(service, "fgt_wrong", "DATABASE_URL").status_code == 401
