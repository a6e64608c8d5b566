"""What can go wrong with repositories, besides what the whole service knows."""

from fugata_core.errors import NotFound


class RepositoryNotFound(NotFound):
    """It does not exist, or the token may not see it: nobody can tell which (docs/api.md)."""

    sentence = "Repository not found"


class SecretNotFound(NotFound):
    """The repository has no secret of that key (docs/api.md: 404)."""

    sentence = "Secret not found"
