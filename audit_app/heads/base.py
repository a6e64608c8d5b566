"""The head that is kept outside the database, where who writes to that alone does not write.

The sealer refuses to go on from an earlier one, and `audit verify` compares the trail with it.
"""

from abc import ABC, abstractmethod
from datetime import UTC, datetime

from audit_app.chain import Head
from audit_app.errors import HeadUnavailable
from fugata_core.clock import iso
from fugata_core.errors import BadRequest


class HeadStore(ABC):
    """Keeps one head. `where`: where that is, for people."""

    where: str

    @abstractmethod
    def read(self) -> Head | None:
        """Return the head, or None if there never was one. Raises HeadUnavailable."""

    @abstractmethod
    def keep(self, head: Head) -> None:
        """Keep `head`, unless another one is kept that is not before it. Raises HeadUnavailable.

        What is kept already is written once more, which shows whether it can be.
        """

    @abstractmethod
    def replace(self, head: Head) -> None:
        """Keep `head`, whatever is kept: an operator has decided so. Raises HeadUnavailable."""

    @staticmethod
    def follows(head: Head, kept: Head | None) -> bool:
        """Return whether `keep` writes `head` where `kept` is."""
        return kept is None or kept.position < head.position or kept == head

    def parse(self, text: str) -> Head | None:
        """Return the head in the last line of `text`; None if that is empty."""
        *_, line = text.strip().splitlines() or [""]
        try:
            return Head.parse(line.split()[-1]) if line else None
        except BadRequest:
            raise HeadUnavailable(
                f"{self.where} has no head of the trail in it. Put the right one back, or, if it is"
                " lost, run manage.py audit reset-head"
            ) from None


def written(head: Head) -> bytes:
    """Return the line that keeps a head: when it was kept, and the head."""
    return f"{iso(datetime.now(UTC))} {head}\n".encode()
