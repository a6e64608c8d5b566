"""The secrets of repositories, behind bearer tokens (docs/api.md)."""
