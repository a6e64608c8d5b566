"""What operators see of shares and of the trail. Never a value, an id, a link, a token."""

from secrets_app.admin import events, shares

__all__ = ["events", "shares"]
