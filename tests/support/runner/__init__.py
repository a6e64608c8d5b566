"""How the suite is run: its passes, and what became of their tests."""
