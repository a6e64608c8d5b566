"""The admin of repositories, their members, the keys of their secrets, and access tokens."""

from repositories_app.admin import repositories, secrets, tokens

__all__ = ["repositories", "secrets", "tokens"]
