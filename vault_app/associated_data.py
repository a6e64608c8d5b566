"""What a sealed value is bound to."""

from dataclasses import dataclass

from fugata_core.encoding import length_prefixed

#: The sealed form's version: its first byte, and a part of what it is bound to.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class AssociatedData:
    """What a ciphertext is bound to; none of it can be changed without failing to open.

    `purpose`: what kind of value; `subject`: whose (the share's lookup digest; repository, key and
    object name); `details`: the rest (expiry, one-time).
    """

    purpose: bytes
    subject: bytes
    details: bytes = b""

    def as_bytes(self) -> bytes:
        """Return the terms as bytes, each part with its length, so that none runs into another."""
        return length_prefixed(bytes([FORMAT]), self.purpose, self.subject, self.details)

    def wrap_context(self) -> bytes:
        """Return what the data key's wrapping is bound to."""
        return self.purpose + self.subject
