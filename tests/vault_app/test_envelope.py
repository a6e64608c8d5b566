"""The envelope: what was sealed comes back, and only under its own terms and link."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from secrets_app.sealing import share_associated_data
from vault_app import envelope
from vault_app.associated_data import AssociatedData
from vault_app.backends import key_provider
from vault_app.errors import DecryptionFailed, KeyUnavailable

ASSOCIATED_DATA = AssociatedData(b"purpose", b"subject", b"details")
LINK = b"0123456789abcdefghijkl"
WHEN = datetime(2030, 1, 1, tzinfo=UTC)
#: Format version, length of the id, and the id "test" of the wrapped data key.
KEY_ID_ENDS = 2 + len("test")


@given(content=st.binary(max_size=5000), link=st.binary(max_size=64))
def test_what_was_sealed_comes_back(content: bytes, link: bytes) -> None:
    sealed, wrapped = envelope.seal(content, ASSOCIATED_DATA, link)
    assert envelope.unseal(sealed, wrapped, ASSOCIATED_DATA, link) == content


@given(content=st.binary(min_size=16, max_size=200))
def test_neither_part_shows_the_content(content: bytes) -> None:
    sealed, wrapped = envelope.seal(content, ASSOCIATED_DATA, LINK)
    assert content not in sealed
    assert content not in wrapped


def test_each_sealing_is_another() -> None:
    sealings = [envelope.seal(b"same", ASSOCIATED_DATA, LINK) for _ in range(20)]
    assert len({sealed for sealed, _ in sealings}) == 20
    assert len({wrapped for _, wrapped in sealings}) == 20


def test_the_first_byte_is_the_format() -> None:
    sealed, wrapped = envelope.seal(b"content", ASSOCIATED_DATA, LINK)
    assert sealed[0] == wrapped[0] == 1


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_any_flipped_byte_of_the_sealed_value(bit: int) -> None:
    sealed, wrapped = envelope.seal(b"content", ASSOCIATED_DATA, LINK)
    for position in range(len(sealed)):
        with pytest.raises(DecryptionFailed):
            envelope.unseal(_flipped(sealed, position, bit), wrapped, ASSOCIATED_DATA, LINK)


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_any_flipped_byte_of_the_wrapped_key(bit: int) -> None:
    """A changed key id names a key that nobody has; everything else does not open."""
    sealed, wrapped = envelope.seal(b"content", ASSOCIATED_DATA, LINK)
    for position in range(len(wrapped)):
        expected = (
            (KeyUnavailable, DecryptionFailed) if 0 < position < KEY_ID_ENDS else DecryptionFailed
        )
        with pytest.raises(expected):
            envelope.unseal(sealed, _flipped(wrapped, position, bit), ASSOCIATED_DATA, LINK)


def _flipped(data: bytes, position: int, bit: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :]


def test_any_shortened_form() -> None:
    sealed, wrapped = envelope.seal(b"content", ASSOCIATED_DATA, LINK)
    for end in range(len(sealed)):
        with pytest.raises(DecryptionFailed):
            envelope.unseal(sealed[:end], wrapped, ASSOCIATED_DATA, LINK)
    for end in range(len(wrapped)):
        with pytest.raises((KeyUnavailable, DecryptionFailed)):
            envelope.unseal(sealed, wrapped[:end], ASSOCIATED_DATA, LINK)


@given(sealed=st.binary(max_size=100), wrapped=st.binary(max_size=100))
def test_arbitrary_bytes_fail_with_an_error_of_ours(sealed: bytes, wrapped: bytes) -> None:
    with pytest.raises((KeyUnavailable, DecryptionFailed)):
        envelope.unseal(b"\x01" + sealed, wrapped, ASSOCIATED_DATA, LINK)


@pytest.mark.parametrize("part", ["purpose", "subject", "details"])
def test_moved_to_other_terms(part: str) -> None:
    sealed, wrapped = envelope.seal(b"content", ASSOCIATED_DATA, LINK)
    other = replace(ASSOCIATED_DATA, **{part: b"another"})
    with pytest.raises(DecryptionFailed):
        envelope.unseal(sealed, wrapped, other, LINK)


@pytest.mark.parametrize("part", ["subject", "details"])
def test_the_ciphertext_alone_is_bound_to_the_terms(part: str) -> None:
    """An attacker who can wrap the data key again still can't move the value."""
    sealed, wrapped = envelope.seal(b"content", ASSOCIATED_DATA, LINK)
    other = replace(ASSOCIATED_DATA, **{part: b"another"})
    provider = key_provider()
    data_key = provider.unwrap(wrapped, ASSOCIATED_DATA.purpose + ASSOCIATED_DATA.subject)
    rewrapped = provider.wrap(data_key, other.purpose + other.subject)
    with pytest.raises(DecryptionFailed):
        envelope.unseal(sealed, rewrapped, other, LINK)


@given(first=st.lists(st.binary(max_size=4), min_size=3, max_size=3), second=st.data())
def test_no_two_terms_look_alike(first: list[bytes], second: st.DataObject) -> None:
    """The parts' bytes can't be shifted from one into the next."""
    joined = b"".join(first)
    cuts = sorted(second.draw(st.tuples(*[st.integers(0, len(joined))] * 2)))
    shifted = [joined[: cuts[0]], joined[cuts[0] : cuts[1]], joined[cuts[1] :]]
    assume(shifted != first)
    assert AssociatedData(*first).as_bytes() != AssociatedData(*shifted).as_bytes()


@given(link=st.binary(max_size=64), other=st.binary(max_size=64))
def test_another_link_does_not_open_it(link: bytes, other: bytes) -> None:
    assume(link != other)
    sealed, wrapped = envelope.seal(b"content", ASSOCIATED_DATA, link)
    with pytest.raises(DecryptionFailed):
        envelope.unseal(sealed, wrapped, ASSOCIATED_DATA, other)


def test_what_is_stored_with_the_master_key_does_not_open_it() -> None:
    sealed, wrapped = envelope.seal(b"content", ASSOCIATED_DATA, LINK)
    for guess in (b"", b"fug_" + LINK, LINK[:-1]):
        with pytest.raises(DecryptionFailed):
            envelope.unseal(sealed, wrapped, ASSOCIATED_DATA, guess)


@pytest.mark.parametrize(
    "other",
    [
        share_associated_data(b"e" * 32, WHEN, True),
        share_associated_data(b"d" * 32, WHEN + timedelta(seconds=1), True),
        share_associated_data(b"d" * 32, WHEN - timedelta(days=1), True),
        share_associated_data(b"d" * 32, WHEN, False),
        replace(share_associated_data(b"d" * 32, WHEN, True), purpose=b"fugata/other"),
    ],
    ids=["digest", "later", "earlier", "one_time", "purpose"],
)
def test_a_share_is_bound_to_its_terms(other: AssociatedData) -> None:
    associated_data = share_associated_data(b"d" * 32, WHEN, True)
    sealed, wrapped = envelope.seal(b"content", associated_data, LINK)
    assert envelope.unseal(sealed, wrapped, associated_data, LINK) == b"content"
    with pytest.raises(DecryptionFailed):
        envelope.unseal(sealed, wrapped, other, LINK)
