"""The chain: an HMAC over each sealed event and all before it, under a key that no database holds.

mac(n) = HMAC-SHA-256(key, mac(n-1) | event n), each field of the event prefixed with its length.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from django.conf import settings

from audit_app.models import AuditEvent, AuditStub
from fugata_core.encoding import length_prefixed
from fugata_core.errors import BadRequest

#: What the first event is chained to.
GENESIS_MAC = bytes(32)
#: What comes of a row that Fugata did not write: a number below zero, text where a number belongs.
ODD = (OverflowError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends: the last position, and the HMAC there (32 bytes)."""

    position: int
    mac: bytes

    def __str__(self) -> str:
        return f"{self.position}:{self.mac.hex()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the head that was published as `text`. Raises BadRequest."""
        position, _, mac = text.strip().partition(":")
        try:
            head = cls(int(position), bytes.fromhex(mac))
        except ValueError:
            head = cls(-1, b"")
        if head.position < 0 or len(head.mac) != len(GENESIS_MAC):
            raise BadRequest("A head is written POSITION:HMAC, with 64 hexadecimal digits.")
        return head


def _key() -> bytes:
    return hashlib.sha256(b"fugata audit chain\0" + settings.AUDIT_KEY.encode()).digest()


def next_mac(before: bytes, position: int, event: AuditEvent) -> bytes:
    """Return the chain's HMAC at `position`, where `event` stands, after `before`."""
    return hmac.digest(_key(), before + length_prefixed(*_fields(position, event)), "sha256")


def _fields(position: int, event: AuditEvent) -> Iterable[bytes]:
    yield position.to_bytes(8)
    yield int(event.pk).to_bytes(8)
    yield _microseconds(event.at)
    yield int(event.count).to_bytes(8)
    for text in (
        event.kind,
        event.repository,
        event.secret_key,
        event.username,
        event.token,
        event.subject,
        event.request_id,
    ):
        yield text.encode()
    for digest in (event.share_digest, event.address_hash):
        yield b"" if digest is None else b"\1" + bytes(digest)


def _microseconds(at: datetime) -> bytes:
    """Return a moment as microseconds since 1970, exactly, in 8 bytes."""
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds).to_bytes(8)


def advance(head: Head, event: AuditEvent) -> Head | None:
    """Return the head after a sealed event; None if that event does not follow `head`."""
    position = head.position + 1
    try:
        mac = next_mac(head.mac, position, event)
        fits = event.position == position and hmac.compare_digest(mac, bytes(event.mac or b""))
    except ODD:
        return None
    return Head(position, mac) if fits else None


def stub_proof(through: int, mac: bytes, newest_at: datetime) -> bytes:
    """Return the HMAC that proves that the holder of the audit key made a stub."""
    fields = length_prefixed(b"stub", through.to_bytes(8), mac, _microseconds(newest_at))
    return hmac.digest(_key(), fields, "sha256")


def is_genuine(stub: AuditStub) -> bool:
    """Return whether the holder of the audit key made the stub."""
    try:
        proof = stub_proof(stub.through, bytes(stub.mac), stub.newest_at)
        return hmac.compare_digest(proof, bytes(stub.proof))
    except ODD:
        return False


def head_of_stubs() -> Head:
    """Return the head before the oldest remaining event: the newest stub's, or the start."""
    stub = AuditStub.objects.order_by("-through").first()
    return Head(stub.through, bytes(stub.mac)) if stub else Head(0, GENESIS_MAC)


def goes_on_from(kept: Head) -> bool:
    """Return whether the trail has `kept` in it, or ends there after it was pruned.

    What is before it can't have been changed then without breaking the chain. Only what was kept is
    pruned: a stub beyond `kept` is of another trail.
    """
    start = head_of_stubs()
    if not all(map(is_genuine, AuditStub.objects.filter(through=start.position))):
        return False
    if kept.position < start.position:
        stubs = AuditStub.objects.filter(through=kept.position)
        return any(is_genuine(stub) and bytes(stub.mac) == kept.mac for stub in stubs)
    if kept.position == start.position:
        return hmac.compare_digest(start.mac, kept.mac)
    event = AuditEvent.objects.filter(position=kept.position).first()
    return event is not None and hmac.compare_digest(bytes(event.mac or b""), kept.mac)


def head() -> Head:
    """Return the current head."""
    last = AuditEvent.objects.filter(position__isnull=False).order_by("-position").first()
    start = head_of_stubs()
    if last is None or int(last.position or 0) < start.position:
        return start
    return Head(int(last.position or 0), bytes(last.mac or b""))
