"""What a repository's secret is sealed to: repository, key, and the object that holds it."""

from vault_app.terms import Terms, lengthened

_PURPOSE = b"fugata/repository-secret"


def secret_terms(repository: str, secret_key: str, value_name: str) -> Terms:
    """Return the terms of a value: it opens nowhere else than where it was put."""
    return Terms(_PURPOSE, lengthened(*(t.encode() for t in (repository, secret_key, value_name))))
