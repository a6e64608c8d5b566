"""The floor: the least Django that parses a create and inserts one row."""
