"""Labels and annotations for the objects of values, as Kubernetes takes them."""

import json
from collections.abc import Callable

import pytest
from django.core.exceptions import ImproperlyConfigured

from fugata_site.settings.kubernetes import annotations, labels, namespace

LONGEST = "a" * 63
OWN = "app.kubernetes.io/instance"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", {}),
        ("team=payments", {"team": "payments"}),
        (" team = payments , cost-center=42,", {"team": "payments", "cost-center": "42"}),
        ("example.com/Team_1.x=", {"example.com/Team_1.x": ""}),
        ('{"team": "payments"}', {"team": "payments"}),
        (f"{LONGEST}={LONGEST}", {LONGEST: LONGEST}),
    ],
)
@pytest.mark.parametrize("reader", [labels, annotations])
def test_pairs(
    monkeypatch: pytest.MonkeyPatch,
    reader: Callable[[str], dict[str, str]],
    text: str,
    wanted: dict[str, str],
) -> None:
    monkeypatch.setenv("X", text)
    assert reader("X") == wanted


WRONG = ["team", "=x", "-team=x", "a b=x", f"{LONGEST}a=x", "a/b/c=x", "/x=y", "Ä=x"]
WRONG += [f"{'a.' * 126}aa/x=y", "{", '{"a": 1}', '{"a": "\\ud800"}']


@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize("reader", [labels, annotations])
def test_what_kubernetes_would_refuse(
    monkeypatch: pytest.MonkeyPatch, reader: Callable[[str], dict[str, str]], text: str
) -> None:
    monkeypatch.setenv("X", text)
    with pytest.raises(ImproperlyConfigured, match=r"^X: must be pairs such as team=payments"):
        reader("X")


@pytest.mark.parametrize("value", ["x y", "-x", "x-", f"{LONGEST}a", "x/y", "x=y", "x\n"])
def test_a_label_s_value_is_a_word(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("X", json.dumps({"team": value}))
    with pytest.raises(ImproperlyConfigured, match=r"^X: "):
        labels("X")
    assert annotations("X") == {"team": value}


def test_an_annotation_may_say_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", '{"owner": "Ann, of Payments", "link": "https://x/?a=b"}')
    assert annotations("X") == {"owner": "Ann, of Payments", "link": "https://x/?a=b"}
    monkeypatch.setenv("X", "link=https://x/?a=b")
    assert annotations("X") == {"link": "https://x/?a=b"}


def test_annotations_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "a=" + "€" * 33_334)
    with pytest.raises(ImproperlyConfigured, match=r"^X: at most 100000 bytes"):
        annotations("X")


def test_a_label_of_fugata_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", f"{OWN}=mine")
    with pytest.raises(ImproperlyConfigured, match=rf"^X: {OWN} is Fugata's own"):
        labels("X")
    assert annotations("X") == {OWN: "mine"}


@pytest.mark.parametrize("name", ["", "a", "0-9", LONGEST])
def test_a_namespace(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("X", name)
    assert namespace("X", "default") == (name or "default")
