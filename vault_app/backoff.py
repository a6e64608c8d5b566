"""How long to wait before a service is asked once more."""

import random

#: The first pause between two attempts, and the longest (seconds): each is twice the one before.
FIRST_BACKOFF, LAST_BACKOFF = 0.1, 1.0


def backoff(attempt: int) -> float:
    """Return the seconds to pause after that attempt, the first of which is 1.

    Those who met one another do not all come back at the same time.
    """
    longest: float = min(FIRST_BACKOFF * 2 ** (attempt - 1), LAST_BACKOFF)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
