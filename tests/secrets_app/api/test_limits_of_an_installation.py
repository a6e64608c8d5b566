"""What an installation may ask of all: quotas, and that shares open once. API and page."""

import json
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from secrets_app import quotas
from secrets_app.models import Share
from secrets_app.quotas import InstallationUsage

pytestmark = pytest.mark.django_db

FORM = {"content": "s3cret", "duration": "1h", "label": "for you"}


@pytest.fixture(autouse=True)
def measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured in one test says nothing in the next."""
    monkeypatch.setattr(quotas, "installation_usage", InstallationUsage())


def create(**fields: object) -> Any:
    body = json.dumps({"content": "s3cret", "duration": "1h"} | fields)
    return Client().post("/secrets", body, "application/json")


def send_form(**fields: str) -> Any:
    return Client().post("/", FORM | fields)


@pytest.mark.parametrize(
    ("setting", "status", "said"),
    [
        ("QUOTA_SHARES_PER_CLIENT", 429, "Quota exceeded: a client may keep 1 secrets at a time"),
        ("QUOTA_BYTES_PER_CLIENT", 429, "Quota exceeded: a client may keep 1 bytes at a time"),
        ("QUOTA_SHARES_TOTAL", 507, "Quota exceeded: this installation has no room"),
        ("QUOTA_BYTES_TOTAL", 507, "Quota exceeded: this installation has no room"),
    ],
)
def test_a_quota_that_is_used_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, setting: str, status: int, said: str
) -> None:
    setattr(settings, setting, 100)
    assert create().status_code == 201
    monkeypatch.setattr(quotas, "installation_usage", InstallationUsage())
    setattr(settings, setting, 1)
    answer = create()
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"].startswith(said)
    assert int(answer["Retry-After"]) > 0
    page = send_form()
    assert page.status_code == status
    assert "Nothing was kept" in page.content.decode()
    assert "s3cret" in page.content.decode(), "the form comes back as it was filled in"
    assert int(page["Retry-After"]) > 0
    assert Share.objects.count() == 1


@pytest.mark.parametrize(("sent", "kept"), [({}, False), ({"one_time": True}, True)])
def test_one_time_is_up_to_the_client(sent: dict[str, bool], kept: bool) -> None:
    assert create(**sent).status_code == 201
    assert Share.objects.get().one_time is kept


@pytest.mark.parametrize("sent", [{}, {"one_time": True}])
def test_one_time_is_forced(settings: Settings, sent: dict[str, bool]) -> None:
    settings.FORCE_ONE_TIME = True
    assert create(**sent).status_code == 201
    assert Share.objects.get().one_time


def test_an_explicit_wish_against_it_is_refused(settings: Settings) -> None:
    settings.FORCE_ONE_TIME = True
    answer = create(one_time=False)
    assert answer.status_code == 400
    said = "Invalid one_time: here each secret can be opened once, so send true"
    assert answer.json() == {"error": said}
    assert not Share.objects.exists()


@pytest.mark.parametrize("wrong", [None, 0, 1, "true", []])
def test_one_time_is_a_boolean(wrong: object) -> None:
    answer = create(one_time=wrong)
    assert answer.json() == {"error": "Invalid one_time: must be true or false"}


@pytest.mark.parametrize("sent", [{}, {"one_time": "on"}, {"one_time": "false"}])
def test_one_time_is_forced_on_the_page(settings: Settings, sent: dict[str, str]) -> None:
    settings.FORCE_ONE_TIME = True
    assert send_form(**sent).status_code == 200
    assert Share.objects.get().one_time


def test_the_page_says_so(settings: Settings) -> None:
    def box() -> str:
        page = Client().get("/").content.decode()
        return page[page.index('id="one_time"') :].partition(">")[0]

    assert "checked" in box()
    assert "disabled" not in box()
    settings.FORCE_ONE_TIME = True
    assert "checked" in box()
    assert "disabled" in box()
