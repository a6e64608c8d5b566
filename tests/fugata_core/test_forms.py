"""Forms, read piece by piece: the fields are those of Django's parser, however they are cut."""

import itertools
import random
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, quote_plus, urlencode

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from fugata_core.errors import SecretTooLarge
from fugata_core.forms import (
    MAX_FIELDS,
    MAX_NAME,
    MULTIPART,
    URLENCODED,
    MalformedForm,
    TooManyFields,
    UrlencodedReader,
    reader_of,
)

BOUNDARY = "bound"
MULTIPART_TYPE = f"{MULTIPART}; boundary={BOUNDARY}"
Fields = list[tuple[str, str]]


def pieces(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return (data[a:b] for a, b in itertools.pairwise(places))


def read(content_type: str, data: bytes, cuts: Sequence[int] = (), limit: int = 2**20) -> Fields:
    reader = reader_of(content_type, limit)
    for piece in pieces(data, cuts):
        reader.feed(piece)
    return list(reader.finish())


def multipart(*parts: tuple[str, bytes]) -> bytes:
    """Return parts with those dispositions."""
    head = "Content-Disposition: form-data; {}\r\nContent-Type: text/plain\r\n\r\n"
    sent = (
        f"--{BOUNDARY}\r\n{head.format(named)}".encode() + value + b"\r\n" for named, value in parts
    )
    return b"".join(sent) + f"--{BOUNDARY}--\r\n".encode()


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NAME = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
CUTS = st.lists(st.integers(0, 2**20), max_size=12)


@given(fields=st.lists(st.tuples(NAME, TEXT), max_size=8), cuts=CUTS)
def test_a_form_as_browsers_send_it(fields: Fields, cuts: list[int]) -> None:
    typed = [(name, value.replace("\r\n", "\n")) for name, value in fields]
    sent = [(name, value.replace("\n", "\r\n")) for name, value in typed]
    assert read(URLENCODED, urlencode(sent).encode(), cuts) == typed


PARTS = ["a", "=", "&", "&", "%41", "%4", "%", "+", "%zz", "%C3%A9", "%0D%0A", "%25", "%2541", "é"]


@given(parts=st.lists(st.sampled_from(PARTS), max_size=20), cuts=CUTS)
def test_what_urllib_reads_is_read(parts: list[str], cuts: list[int]) -> None:
    """Whatever is sent: other than the ends of lines."""
    data = "".join(parts).encode()
    expected = [
        (name, value.replace("\r\n", "\n"))
        for name, value in parse_qsl(data.decode(), keep_blank_values=True)
        if name or value
    ]
    assert [field for field in read(URLENCODED, data, cuts) if any(field)] == expected


@given(values=st.lists(st.binary(max_size=60), max_size=6), cuts=CUTS)
def test_multipart_as_django_reads_it(values: list[bytes], cuts: list[int]) -> None:
    texts = [value.decode("latin-1").encode() for value in values]
    data = multipart(*((f'name="n{n}"', text) for n, text in enumerate(texts)))
    request = RequestFactory().post("/", data, content_type=MULTIPART_TYPE)
    expected = [(name, str(value).replace("\r\n", "\n")) for name, value in request.POST.items()]
    assert read(MULTIPART_TYPE, data, cuts) == expected


def test_a_file_is_passed_over() -> None:
    data = multipart(('name="f"; filename="x.txt"', b"of a file"), ('name="a"', b"1"))
    assert read(MULTIPART_TYPE, data) == [("a", "1")]


def test_an_escape_is_decoded_once_wherever_it_is_cut() -> None:
    data = b"a=%2541%0A%C3%A9"
    for cut in range(len(data)):
        assert read(URLENCODED, data, [cut]) == [("a", "%41\né")]


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        (URLENCODED, b"a=%FF"),
        (URLENCODED, b"%FF=a"),
        (URLENCODED, b"a=\xff"),
        (URLENCODED, b"n" * (MAX_NAME + 1) + b"=a"),
        (MULTIPART_TYPE, multipart(('name="a"', b"\xff"))),
        (MULTIPART_TYPE, multipart(('name="a"', b"cut off"))[:-12]),
        (MULTIPART_TYPE, b"no boundary"),
        (MULTIPART_TYPE, b""),
        (MULTIPART, multipart(('name="a"', b"1"))),
        (f"{MULTIPART}; boundary={'b' * 300}", b"x"),
        ("text/plain", b"a=1"),
        ("", b"a=1"),
    ],
)
def test_what_is_malformed(content_type: str, data: bytes) -> None:
    with pytest.raises(MalformedForm):
        read(content_type, data)


@pytest.mark.parametrize("count", [MAX_FIELDS, MAX_FIELDS + 1])
def test_how_many_fields(count: int) -> None:
    data = "&".join(f"f{n}=v" for n in range(count)).encode()
    if count <= MAX_FIELDS:
        assert len(read(URLENCODED, data)) == count
        return
    with pytest.raises(TooManyFields):
        read(URLENCODED, data)


def test_large_values_in_small_pieces() -> None:
    value = "".join(random.Random(1).choices("ab \n\té🔑%&=+", k=20_000))
    sent = f"a={quote_plus(value.replace(chr(10), chr(13) + chr(10)))}".encode()
    assert read(URLENCODED, sent, range(0, len(sent), 7)) == [("a", value)]


def test_empty_fields_are_not_parsed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    reader = UrlencodedReader(100)
    monkeypatch.setattr(reader._parser, "write", lambda data: written.append(len(data)))
    reader.feed(b"&" * 2**18)
    assert written == [1]


def test_a_field_has_one_name() -> None:
    head = b'Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="b"'
    data = b"--bound\r\n" + head + b"\r\n\r\nx\r\n--bound--\r\n"
    assert read(MULTIPART_TYPE, data) == [("b", "x")]


@pytest.mark.parametrize("kind", [URLENCODED, MULTIPART_TYPE])
def test_the_values_have_a_limit_together(kind: str) -> None:
    """Counted as typed: ends of lines are sent as two bytes each."""

    def sent(first: bytes, second: bytes) -> bytes:
        if kind == URLENCODED:
            return b"a=" + first + b"&b=" + second
        return multipart(('name="a"', first), ('name="b"', second))

    assert read(kind, sent(b"x" * 60, b"\r\n" * 40), limit=100)[1] == ("b", "\n" * 40)
    for second in (b"\r\n" * 41, b"x" * 41, b"x" * 1000):
        with pytest.raises(SecretTooLarge):
            read(kind, sent(b"x" * 60, second), limit=100)


def test_what_is_too_large_is_not_kept() -> None:
    """Not even the beginning of it, beyond twice the limit."""
    reader = UrlencodedReader(100)
    reader.feed(b"a=" + b"x" * 200)
    with pytest.raises(SecretTooLarge):
        reader.feed(b"x")
