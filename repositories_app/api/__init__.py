"""The repositories API (docs/api.md)."""
