"""The associated data of a share: its digest, its expiry, and whether it is one-time."""

from datetime import datetime

from vault_app.associated_data import AssociatedData

_PURPOSE = b"fugata/share"


def share_associated_data(digest: bytes, expires_at: datetime, one_time: bool) -> AssociatedData:
    """Return the associated data of a share; its expiry is in whole Unix seconds."""
    return AssociatedData(
        _PURPOSE, digest, int(expires_at.timestamp()).to_bytes(8) + bytes([one_time])
    )
