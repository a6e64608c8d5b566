"""Counts of what happens to shares. Labels never identify a share or an actor."""

from fugata_core.metrics import event_counter

SHARES = event_counter(
    "fugata_shares",
    "What happened to shares; failed: by our own fault, refused: by the asker's",
    ["created", "opened", "deleted", "expired", "lost_claim", "not_found", "refused", "failed"],
)
