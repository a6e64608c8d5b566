"""What a share is sealed to, besides its link: its digest, its expiry, whether it opens once."""

from datetime import datetime

from vault_app.associated_data import AssociatedData

_PURPOSE = b"fugata/share"


def share_associated_data(digest: bytes, expires_at: datetime, one_time: bool) -> AssociatedData:
    """Return the terms of a share; its expiry counts in whole Unix seconds."""
    return AssociatedData(
        _PURPOSE, digest, int(expires_at.timestamp()).to_bytes(8) + bytes([one_time])
    )
