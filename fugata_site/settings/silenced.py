"""System checks of Django's and of libraries' that do not apply here, and why."""

CHECKS = [
    # django-ratelimit knows neither LocMem nor Django's own Redis cache as safe. Django's Redis
    # cache counts atomically, and LocMem is refused for several processes by fugata.E001.
    "django_ratelimit.E003",
    "django_ratelimit.W001",
    # AdminMiddleware is Django's own three, which these look for one by one.
    "admin.E408",
    "admin.E409",
    "admin.E410",
    # PageCsrfMiddleware is Django's own, which this check knows by its path alone.
    "security.W003",
    # The proxy that ends TLS redirects; sub-domains are the operator's to decide.
    "security.W005",
    "security.W008",
    "security.W021",
]
