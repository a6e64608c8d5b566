"""The console's pages of repositories, members, keys of secrets, and access tokens."""

from repositories_app.admin import repositories, secrets, tokens

__all__ = ["repositories", "secrets", "tokens"]
