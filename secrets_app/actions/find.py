"""Find a live share without opening it."""

from fugata_core import tokens
from secrets_app import ids
from secrets_app.errors import ShareNotFound
from secrets_app.models import Share


def find_share(share_id: str) -> Share:
    """Return the live share with that id, consuming nothing. Raises ShareNotFound."""
    if not ids.is_share_id(share_id):
        raise ShareNotFound()
    share = Share.objects.live().filter(digest=tokens.digest(share_id)).first()
    if share is None:
        raise ShareNotFound()
    return share
