"""Share a secret by a link that expires and may be limited to one opening."""
