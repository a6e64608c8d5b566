"""Whether AUDIT_KEY, which signs back-ups, is the one of the installation's trail."""

from audit_app import chain
from audit_app.errors import AuditKeyChanged
from audit_app.models import AuditStub
from audit_app.seal import require_same_key
from operations_app.backups.snapshot import consistent_snapshot


def require_key_of_trail() -> None:
    """Raise AuditKeyChanged if another key made the newest of what is sealed, or of what is pruned.

    A new FUGATA_HOME has made a key of its own, and nobody keeps what that signs.
    """
    with consistent_snapshot():  # nothing is pruned meanwhile
        require_same_key(chain.head())
        stub = AuditStub.objects.order_by("-through").first()
    if stub and not chain.is_genuine(stub):
        raise AuditKeyChanged(f"AUDIT_KEY is not the one that made the stub at {stub.through}.")
