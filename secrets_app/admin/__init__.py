"""What operators see of shares: never a value, an id, a link or a token."""

from secrets_app.admin import shares

__all__ = ["shares"]
