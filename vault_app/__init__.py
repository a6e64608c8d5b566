"""How a value is sealed, with whose key, and where it is kept. Knows no HTTP and no view."""
