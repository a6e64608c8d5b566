"""Fugata's tests. CONTRIBUTING.md says how they are laid out."""
