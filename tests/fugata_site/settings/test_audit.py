"""Where the trail's head is kept: in one place, and in a cluster in one that stays."""

from pathlib import Path

import pytest

from tests.fugata_site.settings.test_settings import IN_CLUSTER, PRODUCTION, manage

pytestmark = pytest.mark.processes

CLUSTER = PRODUCTION | IN_CLUSTER | {"AUDIT_HEAD_CONFIGMAP": ""}


@pytest.mark.parametrize(
    "place",
    [{"AUDIT_HEAD_CONFIGMAP": "audit-head.one"}, {"AUDIT_HEAD_PATH": "/volume/head"}],
    ids=["a ConfigMap", "a file"],
)
def test_a_place_that_outlives_the_pod(tmp_path: Path, place: dict[str, str]) -> None:
    ended = manage(tmp_path, "check", **CLUSTER | place)
    assert ended.returncode == 0, ended.stderr


def test_a_head_that_would_vanish_with_the_pod(tmp_path: Path) -> None:
    ended = manage(tmp_path, "check", **CLUSTER)
    assert ended.returncode != 0
    assert "(fugata.E015) AUDIT_HEAD_CONFIGMAP: it, or AUDIT_HEAD_PATH, must" in ended.stderr
    assert ended.stderr.count("fugata.E") == 1


def test_the_default_s_own_place_may_be_chosen(tmp_path: Path) -> None:
    """FUGATA_HOME may be a volume."""
    chosen = {"AUDIT_HEAD_PATH": str(tmp_path / "home" / "audit-head")}
    assert manage(tmp_path, "check", **CLUSTER | chosen).returncode == 0


def test_two_places(tmp_path: Path) -> None:
    both = {"AUDIT_HEAD_CONFIGMAP": "audit-head", "AUDIT_HEAD_PATH": "/volume/head"}
    ended = manage(tmp_path, "check", **both)
    assert ended.returncode != 0
    assert "AUDIT_HEAD_CONFIGMAP: must not be set together with AUDIT_HEAD_PATH" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "name", ["../secrets/keys", "head?x=1", "%2e%2e", "Head", "-head", "head-"]
)
def test_what_is_no_name_of_a_configmap(tmp_path: Path, name: str) -> None:
    """It becomes a part of a path at the API server."""
    ended = manage(tmp_path, "check", AUDIT_HEAD_CONFIGMAP=name)
    assert ended.returncode != 0
    assert "AUDIT_HEAD_CONFIGMAP: must be a ConfigMap's name" in ended.stderr
    assert "Traceback" not in ended.stderr
