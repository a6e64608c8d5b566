"""What a wrapped data key looks like, with any provider.

1 byte format version | 1 byte length of the key id | key id | what the provider made of it.
The header (all before the last part) is bound to the wrapping, as the context is.
"""

from vault_app.errors import DecryptionFailed

WRAPPED_FORMAT = 1
#: Bytes of a data key.
DATA_KEY_SIZE = 32
#: How many bytes of the provider's part say which version of the key wrapped it, by the provider's
#: name; of other providers' keys nobody can tell versions apart.
_VERSION_SIZES = {"vault": 4, "vault2": 4}


def header(key_id: str) -> bytes:
    """Return what comes before the provider's part; the id has 1 to 255 ASCII characters."""
    return bytes([WRAPPED_FORMAT, len(key_id)]) + key_id.encode("ascii")


def split(wrapped: bytes) -> tuple[str, bytes, bytes]:
    """Return (key id, header, the provider's part). Raises DecryptionFailed."""
    if len(wrapped) < 3 or wrapped[0] != WRAPPED_FORMAT or len(wrapped) < 2 + wrapped[1]:
        raise DecryptionFailed("the wrapped data key has an unknown format")
    end = 2 + wrapped[1]
    try:
        return bytes(wrapped[2:end]).decode("ascii"), bytes(wrapped[:end]), bytes(wrapped[end:])
    except UnicodeDecodeError:
        raise DecryptionFailed("the wrapped data key has an unknown format") from None


def provider_of(key_id: str) -> str:
    """Return the name of the provider that holds a key: what its id begins with, or local."""
    name, colon, _ = key_id.partition(":")
    return name if colon else "local"


def version_size(key_id: str) -> int:
    """Return how many bytes behind the header name the version of that key; 0: there are none."""
    return _VERSION_SIZES.get(provider_of(key_id), 0)


def version_of(wrapped: bytes) -> int | None:
    """Return the version of the key that wrapped a data key, or None. Raises DecryptionFailed."""
    key_id, _, rest = split(wrapped)
    size = version_size(key_id)
    return int.from_bytes(rest[:size]) if size else None
