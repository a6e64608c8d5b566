"""For operators: the console, metrics, diagnostics, statistics, and back-ups."""
