"""The dashboard and the alert rules ask for what is exported, with the labels that it has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, Metric

import fugata_site.middleware.ratelimit
import fugata_site.urls  # noqa: F401  # registers all counters, as the web processes do
from operations_app.metrics import definitions, exposition  # noqa: F401
from operations_app.metrics.totals import totals

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"
_SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}
#: A metric's name and, where there is one, what is asked of its labels.
_ASKED = re.compile(r"\b(fugata_\w+|up)\b(?:\{([^}]*)\})?")


def exported() -> set[str]:
    """Return the names of all series."""
    families: list[Metric] = [*REGISTRY.collect(), *totals.describe()]
    families += exposition.HealthCollector().collect()
    ours = [family for family in families if family.name.startswith("fugata_")]
    return {family.name + suffix for family in ours for suffix in _SUFFIXES[family.type]}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def asked() -> set[tuple[str, str]]:
    return {match for expr in expressions() for match in _ASKED.findall(expr)}


def test_what_is_asked_for_is_exported() -> None:
    names = {name for name, _ in asked()} - {"up"}
    assert names <= exported()
    # Each figure is looked at somewhere (histograms by two of their three series).
    assert {name for name in exported() - names if not name.endswith("_sum")} == set()


def test_labels_are_those_that_there_are() -> None:
    known = {"job", "endpoint", "method", "status", "event", "kind", "part", "operation", "error"}
    known |= {"task", "outcome", "by", "backend", "limit", "le"}
    for expr in expressions():
        grouped = re.findall(r"by \(([^)]*)\)", expr)
        matched = [selector for _, selector in _ASKED.findall(expr)]
        labels = re.findall(r"\w+", " ".join(grouped))
        labels += re.findall(r"(\w+)\s*(?:=|!=|=~)", " ".join(matched))
        assert set(labels) <= known, expr


@pytest.mark.parametrize("event", ["created", "opened", "deleted", "expired", "lost_claim"])
def test_events_begin_at_zero(event: str) -> None:
    assert REGISTRY.get_sample_value("fugata_shares_total", {"event": event}) is not None


def test_rules_are_whole() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) >= 10
    for rule in rules():
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "action"}
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_promtool_accepts_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is not None:  # Debian's package `prometheus`; nothing else here needs it
        subprocess.run([promtool, "check", "rules", str(RULES)], check=True)


def test_the_dashboard_is_whole() -> None:
    whole = json.loads(DASHBOARD.read_text())
    identifiers = [panel["id"] for panel in whole["panels"]]
    assert len(identifiers) == len(set(identifiers))
    (variable,) = whole["templating"]["list"]
    assert variable["type"] == "datasource"
    for panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["title"]
        assert panel["targets"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
