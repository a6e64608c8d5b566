"""Where the service listens, which hosts and proxies it trusts, and CORS."""

from urllib.parse import urlsplit

from fugata_core import routes
from fugata_site.settings.environment import env, hosts, names, networks, origin, read, whole_number

HOST = read("HOST", env.str, "127.0.0.1").strip("[]")
PORT = whole_number("PORT", 8080, 1, 65535)
PUBLIC_URL = read("PUBLIC_URL", env.str, "").rstrip("/")
_public = origin("PUBLIC_URL", PUBLIC_URL) if PUBLIC_URL else urlsplit("")
HTTPS = _public.scheme == "https"

_LOCAL_NAMES = ["localhost", "127.0.0.1", "[::1]"]
_PUBLIC_NAME = f"[{_public.hostname}]" if ":" in (_public.hostname or "") else _public.hostname
ALLOWED_HOSTS = hosts("ALLOWED_HOSTS", [_PUBLIC_NAME] if _PUBLIC_NAME else _LOCAL_NAMES)
TRUSTED_PROXIES = networks("TRUSTED_PROXIES")
CORS_ALLOWED_ORIGINS = names("ALLOWED_ORIGINS", [])
for _origin in CORS_ALLOWED_ORIGINS:
    origin("ALLOWED_ORIGINS", _origin)
CORS_ALLOW_HEADERS = ["authorization", "content-type", "idempotency-key", "x-request-id"]
CORS_ALLOW_METHODS = ["GET", "HEAD", "POST", "DELETE"]
CORS_EXPOSE_HEADERS = [
    "Link",
    "Location",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-ID",
]
CORS_URLS_REGEX = rf"^({routes.SHARES_API}|{routes.REPOSITORIES_API})(/|$)"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
