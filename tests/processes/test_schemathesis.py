"""schemathesis tries both APIs of a live service, with good data and bad, all its checks on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeService
from tests.support.clients import stored
from tests.support.servers.service import ROOT, Service

SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
CONFIGURATION = ROOT / "tests" / "contract" / "schemathesis.toml"


@pytest.fixture
def tried(make_service: MakeService) -> Iterator[Service]:
    """A service, in which secrets that are too large are easily made; it logs no failure."""
    service = make_service(
        MAX_SECRET_SIZE="2000", TOKEN_RATE_LIMIT_RPM="1000000", TOKEN_RATE_LIMIT_BURST="1000000"
    )
    yield service
    complaints = [line for line in service.logged().splitlines() if " ERROR " in line]
    assert complaints == []
    assert "body bytes on a no-body response" not in service.logged()


def _try(service: Service, tag: str, *options: str, **more: str) -> None:
    command = [str(SCHEMATHESIS), "--config-file", str(CONFIGURATION), "run"]
    command += [f"{service.url}/openapi.json", "--include-tag", tag, "--checks", "all"]
    command += ["--max-examples", "30", "--seed", "1", *options]
    env = os.environ | {"NO_COLOR": "1", "PYTHONPATH": str(ROOT)} | more
    # It leaves a cache where it runs.
    done = subprocess.run(
        command, cwd=service.home, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]


def _happened(service: Service, *kinds: str) -> None:
    for kind in kinds:
        assert stored.count(service, "audit_app_auditevent", "kind = ?", kind), kind


def test_the_sharing_api(tried: Service) -> None:
    """`ignored_auth` apart: it asks again with a wrong token for what the right one has deleted,
    which is a 404 by the contract. tests/secrets_app/api/test_delete.py tries wrong tokens.
    """
    hooks = "tests.contract.schemathesis_hooks"
    _try(tried, "Shares", "--exclude-checks", "ignored_auth", SCHEMATHESIS_HOOKS=hooks)
    _happened(tried, "created", "opened", "deleted")


def test_the_repositories_api(tried: Service) -> None:
    tried.manage("create_repository", "my-service", "--owner", "alice")
    token = tried.manage("create_access_token", "alice").stdout.strip()
    _try(tried, "Repositories", "--header", f"Authorization: Bearer {token}")
    _happened(tried, "set", "read", "removed", "refused")
