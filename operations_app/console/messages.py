"""The console's messages, which wait in the session, and so in the database, until they are shown
(settings.MESSAGE_STORAGE).
"""

from typing import Any

from django.contrib.messages.storage.session import SessionStorage
from django.utils.safestring import SafeString

from fugata_core.tokens import cut_secrets


class MessageStorage(SessionStorage):
    """Django's, without ids and tokens: an address of the console may have one for a row's id."""

    def add(self, level: int, message: str, extra_tags: str | None = "") -> None:
        """Add a message without what has the form of an id or a token."""
        text = cut_secrets(str(message))
        kept: Any = SafeString(text) if isinstance(message, SafeString) else text
        super().add(level, kept, extra_tags)
