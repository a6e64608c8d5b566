"""Django's backend for PostgreSQL (ENGINE), with a deadline for each answer: see base.py."""
