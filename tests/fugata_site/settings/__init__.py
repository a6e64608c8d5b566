"""How settings are read, and what is refused."""
