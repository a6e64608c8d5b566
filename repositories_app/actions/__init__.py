"""One function for each thing that changes repositories. API, admin and commands call these."""
