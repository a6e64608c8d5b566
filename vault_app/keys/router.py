"""All of a process's key providers: one wraps, and each unwraps what it wrapped.

This lets a process open everything while data keys move from one provider to another.
"""

from collections.abc import Callable

from vault_app.errors import KeyUnavailable
from vault_app.keys import wrapped_key
from vault_app.keys.base import KeyProvider


class KeyProviderRouter(KeyProvider):
    """Routes to the chosen provider, or to `others(name)`, which is None if not set up."""

    def __init__(
        self, chosen: KeyProvider, others: Callable[[str], KeyProvider | None] = lambda name: None
    ) -> None:
        self.chosen, self._others = chosen, others
        self.name = chosen.name
        self._by_name = {chosen.name: chosen}

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
        return self.chosen.wrap(data_key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key, using the provider of the key that the wrapped form names."""
        return self.provider(wrapped_key.provider_of(self.key_of(wrapped))).unwrap(wrapped, context)

    def check(self) -> None:
        """Raise KeyUnavailable unless the chosen provider can wrap."""
        self.chosen.check()

    def provider(self, name: str) -> KeyProvider:
        """Return the provider of that name. Raises KeyUnavailable where it is not set up."""
        provider = self._by_name.get(name) or self._others(name)
        if provider is None:
            raise KeyUnavailable("the key's provider is not set up here")
        self._by_name[name] = provider
        return provider
