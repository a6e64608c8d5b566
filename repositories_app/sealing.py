"""What a repository's secret is sealed to: repository, key, and the object that holds it."""

from fugata_core.encoding import length_prefixed
from vault_app.associated_data import AssociatedData

_PURPOSE = b"fugata/repository-secret"


def secret_associated_data(repository: str, secret_key: str, value_name: str) -> AssociatedData:
    """Return the terms of a value: it opens nowhere else than where it was put."""
    subject = (text.encode() for text in (repository, secret_key, value_name))
    return AssociatedData(_PURPOSE, length_prefixed(*subject))
