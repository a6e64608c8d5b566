"""The associated data of a repository secret: repository, key, and the value's name."""

from fugata_core.encoding import length_prefixed
from vault_app.associated_data import AssociatedData

_PURPOSE = b"fugata/repository-secret"


def secret_associated_data(repository: str, secret_key: str, value_name: str) -> AssociatedData:
    """Return the associated data of a value, which binds it to the place where it was put."""
    subject = (text.encode() for text in (repository, secret_key, value_name))
    return AssociatedData(_PURPOSE, length_prefixed(*subject))
