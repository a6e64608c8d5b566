"""The sharing API (docs/api.md)."""
