"""One function per operation on repositories, called by the API, the admin and commands."""
