"""The service's paths, for decisions made before a view is resolved, and for redacting logs."""

#: The two APIs, which respond with JSON.
SHARES_API, REPOSITORIES_API = "/secrets", "/repositories"
#: The form that creates a share, and a share's pages.
NEW_SHARE, SHARE_PAGES = "/", "/s/"
#: The operators' console, and where they sign in.
CONSOLE, SIGN_IN = "/admin/", "/admin/login/"
#: The description of both APIs, for programs and for people.
OPENAPI, DOCS = "/openapi.json", "/docs"
STATIC = "/static/"
#: Paths below these contain ids, names and keys, which no log shows.
PRIVATE = (SHARES_API, SHARE_PAGES.rstrip("/"), REPOSITORIES_API)
#: For probes and scrapers, which send an IP address as Host and do not count as clients.
HEALTH, READINESS, LIVENESS, METRICS = "/healthz", "/readyz", "/livez", "/metrics"
PROBES = (HEALTH, READINESS, LIVENESS)

#: Pages that need no database, value store or key service, by the methods for which that holds.
#: All others do: a share's page, before the click too, and each page of the console.
WITHOUT_BACKEND = {
    NEW_SHARE: ("GET", "HEAD"),
    OPENAPI: ("GET", "HEAD"),
    DOCS: ("GET", "HEAD"),
}


def is_api(path: str) -> bool:
    """Return whether the path is for programs, whatever Accept says."""
    return path.startswith((SHARES_API, REPOSITORIES_API))


def is_page(path: str) -> bool:
    """Return whether the path is for people, whatever Accept says."""
    return path == NEW_SHARE or path.startswith((SHARE_PAGES, CONSOLE))


def needs_no_backend(method: str | None, path: str) -> bool:
    """Return whether a request is answered whatever hangs (an unknown path is, too)."""
    return method in WITHOUT_BACKEND.get(path, ())


def is_console(path: str) -> bool:
    """Return whether the path belongs to the operators' console."""
    return path.startswith(CONSOLE)


def is_share_creation(method: str | None, path: str) -> bool:
    """Return whether a request creates a share through the API."""
    return (method, path) == ("POST", SHARES_API)


def requires_token(path: str) -> bool:
    """Return whether the path requires an access token, if it has a view at all."""
    return path.startswith(f"{REPOSITORIES_API}/")
