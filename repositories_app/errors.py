"""Errors specific to repositories, besides those common to the whole service."""

from fugata_core.errors import NotFound


class RepositoryNotFound(NotFound):
    """It does not exist, or the token may not see it, indistinguishably (docs/api.md)."""

    sentence = "Repository not found"


class SecretNotFound(NotFound):
    """The repository has no secret with that key (docs/api.md: 404)."""

    sentence = "Secret not found"
