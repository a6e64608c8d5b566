"""The contract of a key provider, over every provider."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.in_process.keys import local_keyring
from tests.support.servers.kms import REGION, KmsServer
from tests.support.servers.transit import TOKEN, TransitServer
from vault_app.errors import DecryptionFailed, KeyUnavailable
from vault_app.keys.aws import AwsKms
from vault_app.keys.base import KeyProvider
from vault_app.keys.router import KeyProviderRouter
from vault_app.keys.vault import VaultTransit
from vault_app.keys.wrapped_key import provider_of

DATA_KEY = bytes(range(32))


def _vault(request: pytest.FixtureRequest) -> KeyProvider:
    server: TransitServer = request.getfixturevalue("transit")
    return VaultTransit(["one", "two"], address=server.url, token=TOKEN)


def _aws(request: pytest.FixtureRequest) -> KeyProvider:
    server: KmsServer = request.getfixturevalue("kms")
    return AwsKms([server.new_key()], region=REGION, endpoint=server.url)


PROVIDERS: dict[str, Callable[[pytest.FixtureRequest], KeyProvider]] = {
    "local": lambda request: local_keyring(),
    "vault": _vault,
    "aws": _aws,
    "dispatch": lambda request: KeyProviderRouter(local_keyring()),
}


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> KeyProvider:
    return PROVIDERS[request.param](request)


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
        with pytest.raises(DecryptionFailed):
            provider.unwrap(wrapped, other)


def test_each_wrapping_is_another(provider: KeyProvider) -> None:
    assert len({provider.wrap(DATA_KEY, b"context") for _ in range(20)}) == 20


def test_the_wrapped_form_names_its_key(provider: KeyProvider) -> None:
    assert provider.key_of(provider.wrap(DATA_KEY, b"context")) == provider.primary
    assert provider_of(provider.primary) == provider.name
    for form in (b"", b"\1", b"\1\5four", b"\2\1x", b"\1\1\xff rest"):
        with pytest.raises(DecryptionFailed):
            provider.key_of(form)


@given(wrapped=st.binary(max_size=120))
def test_arbitrary_bytes(provider: KeyProvider, wrapped: bytes) -> None:
    with pytest.raises((KeyUnavailable, DecryptionFailed)):
        provider.unwrap(wrapped, b"context")


@given(rest=st.binary(max_size=80))
def test_arbitrary_bytes_behind_the_name_of_its_key(provider: KeyProvider, rest: bytes) -> None:
    header = provider.wrap(DATA_KEY, b"context")[: 2 + len(provider.primary)]
    with pytest.raises((KeyUnavailable, DecryptionFailed)):
        provider.unwrap(header + rest, b"context")


def test_each_byte_counts(provider: KeyProvider) -> None:
    wrapped = provider.wrap(DATA_KEY, b"context")
    for place in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[place] ^= 1
        with pytest.raises((KeyUnavailable, DecryptionFailed)):
            provider.unwrap(bytes(changed), b"context")


def test_the_last_byte_counts(provider: KeyProvider) -> None:
    wrapped = provider.wrap(DATA_KEY, b"context")
    with pytest.raises(DecryptionFailed):
        provider.unwrap(wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"context")
    with pytest.raises(DecryptionFailed):
        provider.unwrap(wrapped + b"\0", b"context")


def test_a_provider_that_is_well_says_nothing(provider: KeyProvider) -> None:
    provider.check()
