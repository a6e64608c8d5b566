"""One function per operation on repositories, called by the API, the console and commands."""
