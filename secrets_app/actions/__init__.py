"""One function per operation on shares, called by the API, the pages, commands and tasks."""
