"""What operators see of shares. Never a value, an id, a link, a token."""

from secrets_app.admin import shares

__all__ = ["shares"]
