"""The contract of a key provider."""

from abc import ABC, abstractmethod


class KeyProvider(ABC):
    """Wraps and unwraps data keys under key-encryption keys that it alone holds."""

    @property
    @abstractmethod
    def primary(self) -> str:
        """The id of the key that wraps from now on."""

    @abstractmethod
    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Return `data_key` (32 bytes) wrapped, naming its key; it opens with `context` alone.

        Raises KeyUnavailable.
        """

    @abstractmethod
    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key.

        Raises KeyUnavailable when the key can't be had, Unopenable when the bytes do not fit.
        """

    @abstractmethod
    def key_of(self, wrapped: bytes) -> str:
        """Return the id of the key that a wrapped data key names. Raises Unopenable."""

    @abstractmethod
    def check(self) -> None:
        """Raise KeyUnavailable unless keys can be wrapped just now."""
