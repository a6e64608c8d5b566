"""Counts of what happens to repository secrets; they never identify a secret or an actor."""

from fugata_core.metrics import event_counter

SECRETS = event_counter(
    "fugata_repository_secrets",
    "What happened to repositories' secrets; failed: by our own fault, refused: not allowed, or a"
    " repository that the token may not see",
    ["set", "read", "removed", "not_found", "refused", "failed"],
)
