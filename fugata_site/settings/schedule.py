"""What beat sends to the worker, and how often."""

from typing import Any


def _every(seconds: float, task: str) -> dict[str, Any]:
    """Return an entry; a run that no worker takes before the next one is due is dropped."""
    return {"task": task, "schedule": seconds, "options": {"expires": seconds - seconds / 12}}


SCHEDULE = {
    "purge-expired": _every(60.0, "secrets_app.tasks.purge_expired"),
    "seal-audit-events": _every(60.0, "audit_app.tasks.seal_audit_events"),
    "rewrap-keys": _every(60.0, "vault_app.tasks.rewrap_keys"),
    "count-hours": _every(300.0, "operations_app.tasks.count_hours"),
    "prune-audit-events": _every(3600.0, "audit_app.tasks.prune_audit_events"),
    "reconcile-values": _every(3600.0, "vault_app.tasks.reconcile_values"),
}
