"""What operators have: the console, metrics, diagnostics, back-ups."""
