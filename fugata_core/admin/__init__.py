"""What all pages of the console have in common."""
