"""What happens to shares, counted. Labels say what happened: never to which share, nor by whom."""

from fugata_core.metrics import events

SHARES = events(
    "fugata_shares",
    "What happened to shares; failed: by our own fault, refused: by the asker's",
    ["created", "opened", "deleted", "expired", "lost_claim", "not_found", "refused", "failed"],
)
