"""Repository secrets, accessed with bearer tokens (docs/api.md)."""
