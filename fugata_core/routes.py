"""Which path is whose: for what is decided before a view is found, and for what logs show."""

#: The two APIs; what they answer is JSON.
SHARES, REPOSITORIES = "/secrets", "/repositories"
#: The form that makes a share, and the pages of one.
NEW_SHARE, SHARE_PAGES = "/", "/s/"
#: The operators' console, and where they sign in.
CONSOLE, SIGN_IN = "/admin/", "/admin/login/"
#: Below these come ids, names and keys, which no log shows.
PRIVATE = (SHARES, "/s", REPOSITORIES)
#: Probes and scrapes, which send an address as Host and are no clients.
HEALTH, LIVENESS, METRICS = "/healthz", "/livez", "/metrics"


def is_api(path: str) -> bool:
    """Return whether programs are answered there, whatever they accept."""
    return path.startswith((SHARES, REPOSITORIES))


def is_page(path: str) -> bool:
    """Return whether people are answered there, whatever they accept."""
    return path == NEW_SHARE or path.startswith((SHARE_PAGES, CONSOLE))


def is_console(path: str) -> bool:
    """Return whether operators are answered there."""
    return path.startswith(CONSOLE)


def makes_share(method: str | None, path: str) -> bool:
    """Return whether a request creates a share by the API."""
    return (method, path) == ("POST", SHARES)


def submits_form(method: str | None, path: str) -> bool:
    """Return whether a request creates a share by the form."""
    return (method, path) == ("POST", NEW_SHARE)


def wants_token(path: str) -> bool:
    """Return whether nothing is answered there without an access token."""
    return path.startswith(f"{REPOSITORIES}/")
