"""Django's backend for SQLite (ENGINE), with a file for its owner alone: see base.py."""
