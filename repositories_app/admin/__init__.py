"""What operators see and do with repositories, their members, their secrets' keys, and tokens."""

from repositories_app.admin import repositories, secrets, tokens

__all__ = ["repositories", "secrets", "tokens"]
