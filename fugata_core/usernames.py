"""What a user may be called, wherever one is made."""

from fugata_core.tokens import NAME_RULE, has_secret

_MAX = 150


def username_problem(name: str) -> str | None:
    """Return a sentence on what is wrong with the name of a user, or None.

    Lists show it: a control character would reach a terminal, a token whoever looks.
    """
    if not 0 < len(name) <= _MAX or not name.isprintable():
        return f"A user's name has 1 to {_MAX} characters, all of them printable."
    return f"A user's name {NAME_RULE}" if has_secret(name) else None
