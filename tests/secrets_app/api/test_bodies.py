"""Whatever bytes a create is sent: an answer of ours, and never a 500."""

import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from secrets_app.models import Share
from tests.secrets_app.api.conftest import Post

pytestmark = pytest.mark.django_db

GOOD = b'{"content":"s3cret","duration":"1h"}'
DEEP = 100_000
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "content": anything,
        "duration": st.just("1h") | anything,
        "one_time": st.booleans() | anything,
        "metadata": anything,
        "unknown": anything,
    },
)


def assert_ours(answer: Any) -> None:
    assert answer.status_code in (201, 400, 413)
    if answer.status_code != 201:
        assert list(answer.json()) == ["error"]
        assert isinstance(answer.json()["error"], str)
        assert "Traceback" not in answer.json()["error"]


def assert_refused(answer: Any) -> None:
    assert answer.status_code == 400
    assert_ours(answer)
    assert Share.objects.count() == 0


@given(body=st.binary(max_size=500))
def test_arbitrary_bytes(post: Post, body: bytes) -> None:
    assert_ours(post(body))


@given(value=anything)
def test_arbitrary_json(post: Post, value: object) -> None:
    assert_ours(post(json.dumps(value).encode()))


@given(value=fields)
def test_arbitrary_fields(post: Post, value: object) -> None:
    assert_ours(post(json.dumps(value).encode()))


@given(position=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255))
def test_one_byte_changed(post: Post, position: int, byte: int) -> None:
    assert_ours(post(GOOD[:position] + bytes([byte]) + GOOD[position + 1 :]))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"null",
        b"true",
        b"1",
        b'"s"',
        b"[]",
        b"[{}]",
        b"{}",
        GOOD + b"x",
        GOOD + GOOD,
        GOOD[:-1] + b",}",
        GOOD.replace(b'"', b"'"),
        b'{content:"s",duration:"1h"}',
        b"content=s&duration=1h",
        b'{"content":NaN,"duration":"1h"}',
        b'{"content":Infinity,"duration":"1h"}',
        b'{"content":1e400,"duration":"1h"}',
        b'{"content":-0,"duration":"1h"}',
        b'{"content":"a\nb","duration":"1h"}',
        b'{"content":"\\x","duration":"1h"}',
        b'{"content":"\\u12","duration":"1h"}',
        b'{"content":"\xff","duration":"1h"}',
        b'{"content":"\xed\xa0\x80","duration":"1h"}',
        b'{"content":"\xc0\x80","duration":"1h"}',
        GOOD.decode().encode("utf-16"),
        GOOD.decode().encode("utf-16-le"),
        GOOD.decode().encode("utf-32"),
        b"\0" + GOOD,
        GOOD + b"\0",
        b'{"content":"s","duration":"1h","unknown":NaN}',
        b'{"content":"s","duration":"1h","unknown":"\\ud800"}',
    ],
)
def test_what_is_no_json_of_ours(post: Post, body: bytes) -> None:
    assert_refused(post(body))


@pytest.mark.parametrize("media_type", ["", "application/json", "text/plain"])
def test_no_body_at_all(client: Client, media_type: str) -> None:
    answer = client.generic("POST", "/secrets", b"", content_type=media_type)
    assert answer.status_code in (400, 415)
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    "ignored", [b'"\xff":1', b'"unknown":"\xff"', b'"unknown":["\xed\xa0\x80"]']
)
def test_what_is_no_utf8_in_an_ignored_field(post: Post, ignored: bytes) -> None:
    """JSON is UTF-8 (RFC 8259, section 8.1), also where its fields are passed over."""
    assert_refused(post(b"{" + ignored + b"," + GOOD[1:]))


SURROGATES = ["\\ud800", "\\udfff", "\\ud800x", "\\ud800\\ud800", "\\udc00\\ud800", "\\uDBFF"]


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("field", ["content", "duration", "metadata", "one_time"])
def test_lone_surrogates(post: Post, field: str, surrogate: str) -> None:
    rest = {"content": "s", "duration": "1h"}
    rest.pop(field, None)
    body = f'{{"{field}":"a{surrogate}",' + json.dumps(rest)[1:]
    assert_refused(post(body.encode()))


def test_a_pair_of_surrogates_is_one_character(post: Post) -> None:
    assert post(b'{"content":"\\ud83d\\ude00","duration":"1h"}').status_code == 201
    assert Share.objects.get().size == 4


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP,
        b'{"content":' + b"[" * DEEP,
        b'{"content":' + b"[" * DEEP + b"]" * DEEP + b',"duration":"1h"}',
        b'{"unknown":' + b"[" * DEEP,
        b'{"unknown":' + b'{"a":' * DEEP,
        b'{"content":"s","duration":"1h","metadata":' + b"[" * DEEP,
    ],
    ids=["[", "[]", "{", "content", "content closed", "unknown", "unknown {", "metadata"],
)
def test_nested_very_deep(post: Post, body: bytes) -> None:
    assert_refused(post(body))


def test_an_ignored_field_nested_very_deep(post: Post) -> None:
    body = b'{"unknown":' + b"[" * DEEP + b"]" * DEEP + b"," + GOOD[1:]
    assert_ours(post(body))


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 400, "1e99999", "0." + "1" * 5000])
def test_big_numbers(post: Post, number: str) -> None:
    for field in ("content", "duration", "one_time", "metadata"):
        rest = {"content": "s", "duration": "1h"}
        rest.pop(field, None)
        body = f'{{"{field}":{number},' + json.dumps(rest)[1:]
        assert_refused(post(body.encode()))
    assert_ours(post(f'{{"unknown":{number},'.encode() + GOOD[1:]))


def test_a_key_twice(post: Post) -> None:
    """Either of the two is right (RFC 8259, section 4); a failure is not."""
    assert_ours(post(b'{"content":"a","content":"b","duration":"1h"}'))
    assert_ours(post(b'{"content":"a","content":1,"duration":"1h"}'))
    assert_ours(post(b'{"content":"a","duration":"1h","duration":"x"}'))


def test_white_space_around_it(post: Post) -> None:
    assert post(b" \r\n\t" + GOOD + b" \r\n\t").status_code == 201


def test_no_error_repeats_the_content(post: Post) -> None:
    for body in (
        b'{"content":"s3cret","duration":"s3cret"}',
        b'{"content":["s3cret"],"duration":"1h"}',
        b'{"content":"s3cret","duration":"1h"',
        b'{"content":"s3cret\\ud800","duration":"1h"}',
    ):
        answer = post(body)
        assert answer.status_code == 400
        assert b"s3cret" not in answer.content
