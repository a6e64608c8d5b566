"""System checks of Django and of libraries that do not apply here, and why."""

CHECKS = [
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
