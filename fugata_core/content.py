"""Validation of a secret's content, for both apps."""

from django.conf import settings

from fugata_core.errors import BadRequest, SecretTooLarge


def validate_content(text: str, field: str) -> bytes:
    """Return `text`, the secret in `field`, as UTF-8. Raises BadRequest, SecretTooLarge."""
    if not text:
        raise BadRequest(f"Invalid {field}: must not be empty")
    if len(text) > settings.MAX_SECRET_SIZE:
        raise SecretTooLarge()
    try:
        content = text.encode()
    except UnicodeEncodeError:
        raise BadRequest(f"Invalid {field}: a lone surrogate is no Unicode text") from None
    if len(content) > settings.MAX_SECRET_SIZE:
        raise SecretTooLarge()
    return content
