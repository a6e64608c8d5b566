"""What a share is sealed to, besides its link: its digest, its expiry, whether it opens once."""

from datetime import datetime

from vault_app.terms import Terms

_PURPOSE = b"fugata/share"


def share_terms(digest: bytes, expires_at: datetime, one_time: bool) -> Terms:
    """Return the terms of a share; its expiry counts in whole Unix seconds."""
    return Terms(_PURPOSE, digest, int(expires_at.timestamp()).to_bytes(8) + bytes([one_time]))
