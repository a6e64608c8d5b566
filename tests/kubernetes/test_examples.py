"""The shipped examples, run as they are: a CI job and a pod that fetch a secret with curl."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import Require
from tests.support.keeping import keeper
from tests.support.kubernetes import MANIFESTS
from tests.support.service import Service

pytestmark = pytest.mark.processes

VALUE = "postgresql://user:p\"ss'$word@db/name\n\twith \\ and €"
EXAMPLES = MANIFESTS / "examples"


@pytest.fixture
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
