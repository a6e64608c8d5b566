"""The floor: a minimal Django site that parses a create and inserts one row."""
