"""All of a process's key providers: one wraps, and each unwraps what it wrapped.

This lets a process open everything while data keys move from one provider to another.
"""

from collections.abc import Callable

from vault_app.errors import KeyUnavailable
from vault_app.keys import wrapped_key
from vault_app.keys.base import KeyProvider
from vault_app.keys.service_health import ServiceHealth


class KeyProviderRouter(KeyProvider):
    """Routes to the chosen provider, or to `others(name)`, which is None if not set up."""

    def __init__(
        self, chosen: KeyProvider, others: Callable[[str], KeyProvider | None] = lambda name: None
    ) -> None:
        self.chosen, self._others = chosen, others
        self.name, self.is_remote, self.timeout = chosen.name, chosen.is_remote, chosen.timeout
        self._by_name = {chosen.name: chosen}
        self._health = ServiceHealth()

    @property
    def concurrency(self) -> int:  # type: ignore[override]
        """The highest concurrency of the providers in use."""
        return max(provider.concurrency for provider in self._by_name.values())

    @property
    def primary(self) -> str:
        """The id of the chosen provider's primary key."""
        return self.chosen.primary

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Return the data key wrapped under the chosen provider's primary key."""
        with self._health.observed("wrap"):
            return self.chosen.wrap(data_key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key, using the provider of the key that the wrapped form names."""
        provider = self.provider_that_wrapped(wrapped)
        if provider is not self.chosen:
            return provider.unwrap(wrapped, context)
        with self._health.observed("unwrap"):
            return provider.unwrap(wrapped, context)

    def check(self) -> None:
        """Raise KeyUnavailable unless the chosen provider can wrap and unwrap."""
        self.chosen.check()
        self._health.is_well()

    def check_if_in_doubt(self) -> None:
        """Raise KeyUnavailable unless both operations worked of late, or do now."""
        if not self.is_remote or self._health.is_in_doubt:
            self.check()

    def maintain(self) -> None:
        """Do what is due for each provider in use."""
        for provider in list(self._by_name.values()):
            provider.maintain()

    def warning(self) -> str:
        """Return what will soon keep a provider in use from working."""
        warnings = (provider.warning() for provider in list(self._by_name.values()))
        return " ".join(filter(None, warnings))

    def provider_that_wrapped(self, wrapped: bytes) -> KeyProvider:
        """Return the provider of the key that the wrapped form names.

        Raises DecryptionFailed where that can't be read, KeyUnavailable where it is not set up.
        """
        return self.provider(wrapped_key.provider_of(self.key_of(wrapped)))

    def provider(self, name: str) -> KeyProvider:
        """Return the provider of that name. Raises KeyUnavailable where it is not set up."""
        provider = self._by_name.get(name) or self._others(name)
        if provider is None:
            raise KeyUnavailable("the key's provider is not set up here")
        self._by_name[name] = provider
        return provider
