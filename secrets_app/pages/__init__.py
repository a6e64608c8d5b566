"""The share pages. Everything works without JavaScript."""
