"""The rule for a share's label, which is not encrypted."""

from fugata_core.errors import BadRequest

#: Characters of a label at most.
MAX_LABEL = 1024


def validate_label(label: str | None) -> None:
    """Raise BadRequest if `label` is too long, or has a NUL, which PostgreSQL can't store."""
    if label is not None and (len(label) > MAX_LABEL or "\0" in label):
        raise BadRequest(
            f"Invalid metadata: must be a string of at most {MAX_LABEL} characters without NUL"
        )
