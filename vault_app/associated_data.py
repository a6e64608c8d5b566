"""The associated data that a sealed value is bound to."""

from dataclasses import dataclass

from fugata_core.encoding import length_prefixed

#: The sealed form's version: its first byte, and part of its associated data.
SEALED_FORMAT = 1


@dataclass(frozen=True, slots=True)
class AssociatedData:
    """What a ciphertext is bound to: if any of it changes, the ciphertext no longer opens.

    `purpose`: what kind of value; `subject`: which one (the share's lookup digest; repository, key
    and object name); `details`: the rest (expiry, one-time).
    """

    purpose: bytes
    subject: bytes
    details: bytes = b""

    def as_bytes(self) -> bytes:
        """Return it as bytes, each part length-prefixed, so that parts can't run together."""
        return length_prefixed(bytes([SEALED_FORMAT]), self.purpose, self.subject, self.details)

    def wrap_context(self) -> bytes:
        """Return what the data key's wrapping is bound to."""
        return self.purpose + self.subject
