"""AWS's credentials may come from anywhere, in any time: a call does not wait for them for ever."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.servers.kms import REGION, KmsServer
from tests.support.servers.parts import wait_until
from tests.vault_app.support import DATA_KEY, ends_in_time
from vault_app.errors import KeyServiceAway
from vault_app.keys.aws import AwsKms

pytestmark = pytest.mark.processes

#: Seconds of a call in these tests.
TIMEOUT = 0.6


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A program that the AWS tools run for credentials, for as long as it takes."""
    program, config = tmp_path / "credentials", tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = sh {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable, raising=False)
    return program


def test_credentials_that_never_come(kms: KmsServer, credentials: Path) -> None:
    credentials.write_text("sleep 15\n")
    with ends_in_time():
        provider = AwsKms(["k" * 36], region=REGION, endpoint=kms.url, timeout=TIMEOUT)
        with pytest.raises(KeyServiceAway, match="credentials"):
            provider.wrap(DATA_KEY, b"")


def test_credentials_that_are_never_replaced(kms: KmsServer, credentials: Path) -> None:
    """The first ones end so soon that each call has others fetched."""
    ends_at = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    given = {"AccessKeyId": "a", "SecretAccessKey": "s", "Version": 1, "Expiration": ends_at}
    credentials.write_text(f"echo '{json.dumps(given)}'\n")
    provider = AwsKms(["k" * 36], region=REGION, endpoint=kms.url, timeout=TIMEOUT)
    wait_until(provider._making.done, "the client")
    credentials.write_text("sleep 15\n")
    with ends_in_time(), pytest.raises(KeyServiceAway, match="credentials"):
        provider.wrap(DATA_KEY, b"")


def test_a_token_file_that_is_missing(
    kms: KmsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a pod's, with a role for its service account. The AWS tools would log a traceback."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::111111111111:role/fugata")
    provider = AwsKms(["k" * 36], region=REGION, endpoint=kms.url, timeout=5.0)
    with pytest.raises(KeyServiceAway, match="there are no AWS credentials"):
        provider.wrap(DATA_KEY, b"")
    assert caplog.records == []
