"""A form with an error keeps what was typed, but never answers with many times what was sent."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("field", ["content", "label", "duration"])
def test_a_long_field_is_not_sent_back(client: Client, field: str) -> None:
    form = {"content": "s", "duration": "no", "label": "l"} | {field: "'" * 2**21}
    answer = client.post("/", form)
    assert answer.status_code == 400
    assert len(answer.content) < 2**16


def test_what_a_person_types_is_kept(client: Client) -> None:
    answer = client.post("/", {"content": "typed " * 1000, "duration": "no", "label": "kept"})
    assert answer.status_code == 400
    assert "typed " * 1000 in answer.content.decode()
    assert 'value="kept"' in answer.content.decode()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"])
def test_a_method_that_no_page_takes(method: str) -> None:
    answer = Client(enforce_csrf_checks=True).generic(method, "/")
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD, POST"
