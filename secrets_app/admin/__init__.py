"""What operators see of shares, of the trail and of keys. Never a value, an id, a link, a token."""

from secrets_app.admin import events, keys, shares

__all__ = ["events", "keys", "shares"]
