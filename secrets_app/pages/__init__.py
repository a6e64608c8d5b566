"""The share pages: everything works without JavaScript."""
