"""How the web process waits for its clients: in one poller, never in the request threads."""
