"""One function for each thing that changes a share. API, pages, commands and tasks call these."""
