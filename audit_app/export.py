"""The trail as lines of JSON, to be kept elsewhere."""

import json
from collections.abc import Iterator
from datetime import datetime

from audit_app.models import AuditEvent
from fugata_core.streams import stream
from fugata_core.terminal import escaped


def export_lines(since: datetime | None = None) -> Iterator[str]:
    """Yield each event as one JSON object, the oldest first; digests in hexadecimal."""
    events = AuditEvent.objects.order_by("pk")
    if since:
        events = events.filter(at__gte=since)
    for event in stream(events):
        yield escaped(json.dumps(_as_dict(event), ensure_ascii=False))


def _as_dict(event: AuditEvent) -> dict[str, object]:
    return {
        "id": event.pk,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "share": _hex(event.share_digest),
        "repository": event.repository or None,
        "secret_key": event.secret_key or None,
        "user": event.username or None,
        "token": event.token or None,
        "subject": event.subject or None,
        "address": _hex(event.address_hash),
        "request_id": event.request_id or None,
        "count": event.count,
        "position": event.position,
        "mac": _hex(event.mac),
    }


def _hex(data: bytes | memoryview | None) -> str | None:
    return None if data is None else bytes(data).hex()
