"""The contract of a key provider, over every provider."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_app.vault.errors import KeyUnavailable, Unopenable
from secrets_app.vault.keys.base import KeyProvider
from secrets_app.vault.keys.local import LocalKeyring

PROVIDERS: list[Callable[[], KeyProvider]] = [LocalKeyring]
DATA_KEY = bytes(range(32))


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> KeyProvider:
    made: KeyProvider = request.param()
    return made


@given(data_key=st.binary(min_size=32, max_size=32), context=st.binary(max_size=64))
def test_a_wrapped_key_comes_back(provider: KeyProvider, data_key: bytes, context: bytes) -> None:
    wrapped = provider.wrap(data_key, context)
    assert data_key not in wrapped
    assert provider.unwrap(wrapped, context) == data_key


def test_what_the_database_driver_returns_is_taken(provider: KeyProvider) -> None:
    wrapped = provider.wrap(DATA_KEY, b"context")
    for form in (memoryview(wrapped), bytearray(wrapped)):
        assert provider.unwrap(form, b"context") == DATA_KEY  # type: ignore[arg-type]


def test_another_context_does_not_open_it(provider: KeyProvider) -> None:
    wrapped = provider.wrap(DATA_KEY, b"context")
    for other in (b"", b"contex", b"context2"):
        with pytest.raises(Unopenable):
            provider.unwrap(wrapped, other)


def test_each_wrapping_is_another(provider: KeyProvider) -> None:
    assert len({provider.wrap(DATA_KEY, b"context") for _ in range(20)}) == 20


def test_the_wrapped_form_names_its_key(provider: KeyProvider) -> None:
    assert provider.key_of(provider.wrap(DATA_KEY, b"context")) == provider.primary
    with pytest.raises(Unopenable):
        provider.key_of(b"")


@given(wrapped=st.binary(max_size=120))
def test_arbitrary_bytes(provider: KeyProvider, wrapped: bytes) -> None:
    with pytest.raises((KeyUnavailable, Unopenable)):
        provider.unwrap(wrapped, b"context")


def test_the_last_byte_counts(provider: KeyProvider) -> None:
    wrapped = provider.wrap(DATA_KEY, b"context")
    with pytest.raises(Unopenable):
        provider.unwrap(wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"context")
    with pytest.raises(Unopenable):
        provider.unwrap(wrapped + b"\0", b"context")


def test_a_provider_that_is_well_says_nothing(provider: KeyProvider) -> None:
    provider.check()
