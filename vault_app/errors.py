"""What the vault raises. No message ever holds a value or a key."""


class VaultError(Exception):
    """Anything that keeps a value from being sealed, stored or opened."""


class ValueMissing(VaultError):
    """The store has no value of that name."""


class StoreUnavailable(VaultError):
    """The store could not be reached, or refused."""


class ValueStays(StoreUnavailable):
    """The value is marked as deleted, and stays for now: something else holds it."""


class ValueConflict(StoreUnavailable):
    """The store has another value under that name."""


class KeyUnavailable(VaultError):
    """The key provider could not be reached, or has no key of that id."""


class KeyServiceAway(KeyUnavailable):
    """The key service can't be reached, or fails: that may pass."""


class KeyServiceBusy(KeyServiceAway):
    """The key service is asked too often; `retry_after`: the seconds that it wants to be left alone
    for, if it said so.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class KeyVersionGone(KeyUnavailable):
    """The key service no longer opens the version of the key that wrapped this data key."""


class DecryptionFailed(VaultError):
    """The bytes are not what was sealed: damaged, moved, or sealed by another key."""
