"""Headers, cookies, and the checks that do not apply."""

from fugata_site.settings.serving import HTTPS

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")  # ClientMiddleware guards it
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "no-referrer"
SECURE_SSL_REDIRECT = False  # the proxy that ends TLS redirects; probes speak plain HTTP
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = False
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrf"
CSRF_FAILURE_VIEW = "secrets_app.pages.views.csrf_failure"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
RATELIMIT_FAIL_OPEN = True
#: Checks of Django and of libraries that do not apply here, and why.
SILENCED_SYSTEM_CHECKS = [
    # django-ratelimit considers neither LocMem nor Django's own Redis cache safe. Django's Redis
    # cache counts atomically, and LocMem is refused for several processes by fugata.E001.
    "django_ratelimit.E003",
    "django_ratelimit.W001",
    # AdminMiddleware runs Django's own three, which these look for one by one.
    "admin.E408",
    "admin.E409",
    "admin.E410",
    # PageCsrfMiddleware extends Django's own, which this check knows only by its path.
    "security.W003",
    # The proxy that ends TLS redirects; sub-domains are the operator's to decide.
    "security.W005",
    "security.W008",
    "security.W021",
]
