"""What happens to repositories' secrets, counted: never to which one, nor by whom."""

from fugata_core.metrics import events

SECRETS = events(
    "fugata_repository_secrets",
    "What happened to repositories' secrets; failed: by our own fault, refused: not allowed, or a"
    " repository that the token may not see",
    ["set", "read", "removed", "not_found", "refused", "failed"],
)
