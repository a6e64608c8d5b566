"""The contract of a key provider."""

from abc import ABC, abstractmethod

from vault_app.keys import wrapped_key

#: The context of what is wrapped to see whether it can be.
_CHECKED = b"check"


class KeyProvider(ABC):
    """Wraps and unwraps data keys under key-encryption keys that it alone holds."""

    #: Prefix of its keys' ids, before a colon (the local keyring's have no colon).
    name: str
    #: Whether each call goes to a service elsewhere, which may be slow or away.
    is_remote: bool = False
    #: Seconds that a call may take, where it is remote.
    timeout: float = 0.0
    #: How many concurrent calls pay off while many data keys are re-wrapped.
    concurrency: int = 1

    @property
    @abstractmethod
    def primary(self) -> str:
        """The id of the key that wraps new data keys. Raises KeyUnavailable."""

    @abstractmethod
    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Return `data_key` (32 bytes) wrapped, naming its key; it opens only with `context`.

        Raises KeyUnavailable.
        """

    @abstractmethod
    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key.

        Raises KeyUnavailable, or DecryptionFailed if the bytes do not match the key and `context`.
        """

    def key_of(self, wrapped: bytes) -> str:
        """Return the id of the key that a wrapped data key names. Raises DecryptionFailed."""
        return wrapped_key.split(wrapped)[0]

    def check(self) -> None:
        """Raise KeyUnavailable unless data keys can be wrapped and unwrapped right now."""
        self.unwrap(self.wrap(bytes(wrapped_key.DATA_KEY_SIZE), _CHECKED), _CHECKED)

    def maintain(self) -> None:  # noqa: B027  # there may be nothing to do
        """Do what is due, such as renewing credentials. It may take as long as a call."""

    def warning(self) -> str:
        """Return what will soon keep it from working, and what to do; empty if nothing is known."""
        return ""
