"""The table of shares."""
