"""Why the trail is not sealed, or can't be compared with the head that is kept."""


class NotSealed(Exception):
    """Nothing is sealed until an operator has looked; the message says why, and what to do."""


class AuditKeyChanged(NotSealed):
    """The chain was made with another audit key."""


class TrailWentBack(NotSealed):
    """The database has another trail, or an earlier part of it, than was sealed."""


class HeadUnavailable(Exception):
    """The head that is kept can't be read or replaced; the message says where, and why."""


class ChainBroken(Exception):
    """The oldest events do not verify: pruning them would hide what was done to them."""
