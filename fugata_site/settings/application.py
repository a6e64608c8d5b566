"""Django's components: apps, middleware, templates, static files."""

from fugata_core import routes
from fugata_site.settings import static_files
from fugata_site.settings.environment import env, read
from fugata_site.settings.home import BASE_DIR
from fugata_site.settings.processes import METRICS
from fugata_site.settings.serving import CORS_ALLOWED_ORIGINS
from fugata_site.settings.usage_limits import CREATE_ALLOWED_FROM, CREATE_REQUIRES_LOGIN

INSTALLED_APPS = [
    "fugata_site.apps.FugataSiteConfig",
    "operations_app.apps.FugataAdminConfig",
    "operations_app.apps.OperationsAppConfig",
    "repositories_app",
    "secrets_app",
    "audit_app",
    "vault_app",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_ratelimit",
    "corsheaders",
    "csp",
]
MIDDLEWARE = [
    "fugata_site.middleware.health.HealthMiddleware",
    *(["fugata_site.middleware.metrics.MetricsMiddleware"] if METRICS else []),
    "fugata_site.middleware.response_headers.ResponseHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "fugata_site.middleware.client.ClientMiddleware",
    *(["corsheaders.middleware.CorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    # Before everything that may respond with a page: 429, an unknown Host, a body too large.
    "fugata_site.middleware.csp.PageCSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "fugata_site.middleware.caller.CallerMiddleware",
    "fugata_site.middleware.ratelimit.RateLimitMiddleware",
    *(
        ["fugata_site.middleware.permission.PermissionMiddleware"]
        if CREATE_ALLOWED_FROM or CREATE_REQUIRES_LOGIN
        else []
    ),
    "fugata_site.middleware.lookups.LookupMiddleware",
    "django.middleware.common.CommonMiddleware",
    "fugata_site.middleware.body.BodyMiddleware",
    "fugata_site.middleware.csrf.PageCsrfMiddleware",
    "fugata_site.middleware.bulkhead.BulkheadMiddleware",
    "fugata_site.middleware.admin.AdminMiddleware",
    "fugata_site.middleware.errors.ErrorMiddleware",
]
ROOT_URLCONF = "fugata_site.urls"
WSGI_APPLICATION = "fugata_site.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = routes.STATIC
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = read("STATIC_ROOT", env.str, "") or None
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
WHITENOISE_MAX_AGE = 300
STORAGES = {"staticfiles": static_files.storage(STATIC_ROOT)}
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
