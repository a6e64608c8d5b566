"""Back-up, restore and check of a whole installation: its rows and its sealed values."""
