"""For tests without processes: fixtures, settings, backends that fail."""
