"""Rules for repository ids and secret keys (docs/api.md: "Repositories")."""

import re

REPOSITORY_PATTERN = r"[-._a-zA-Z0-9]{1,100}"
KEY_PATTERN = r"(?!\.$)(?!\.\.)[-._a-zA-Z0-9]{1,253}"

_REPOSITORY = re.compile(REPOSITORY_PATTERN, re.ASCII)
_KEY = re.compile(KEY_PATTERN, re.ASCII)

REPOSITORY_RULE = "1 to 100 of the characters a-z, A-Z, 0-9, '-', '_' and '.'"
KEY_RULE = (
    "1 to 253 of the characters a-z, A-Z, 0-9, '-', '_' and '.', "
    "neither '.' nor beginning with '..'"
)


def is_repository_name(text: str) -> bool:
    """Return whether `text` may be a repository's id."""
    return _REPOSITORY.fullmatch(text) is not None


def is_secret_key(text: str) -> bool:
    """Return whether `text` may be a secret's key: Kubernetes' rule for data keys."""
    return _KEY.fullmatch(text) is not None
