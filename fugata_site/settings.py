"""Settings, from the environment; README.md lists them. A wrong one stops the start by name."""

import os
import re
from pathlib import Path
from urllib.parse import quote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from fugata_site import key_services, log_settings, schedule, silenced, static_files
from fugata_site.environment import (
    durations,
    env,
    generated_secret,
    hosts,
    kubernetes_name,
    long_enough,
    names,
    networks,
    one_of,
    origin,
    read,
    time_span,
    whole_number,
)

BASE_DIR = Path(__file__).resolve().parent.parent
FUGATA_HOME = Path(read("FUGATA_HOME", env.str, str(BASE_DIR / "var"))).resolve()
_NO_HOME = ImproperlyConfigured("FUGATA_HOME: must be a folder that can be written to.")
try:
    FUGATA_HOME.mkdir(parents=True, exist_ok=True, mode=0o700)
except OSError:
    raise _NO_HOME from None
IN_CLUSTER = "KUBERNETES_SERVICE_HOST" in os.environ

DEBUG = read("DEBUG", env.bool, False)
SECRET_KEY = read("SECRET_KEY", env.str, "")
if not SECRET_KEY and IN_CLUSTER:
    raise ImproperlyConfigured(
        "SECRET_KEY: must be set inside a cluster, where a generated one vanishes with the pod."
    )
#: The secrets that this FUGATA_HOME alone has: other replicas would make others.
GENERATED = [] if SECRET_KEY else ["SECRET_KEY"]
try:
    SECRET_KEY = SECRET_KEY or generated_secret(FUGATA_HOME / "secret_key")
except OSError:
    raise _NO_HOME from None
long_enough("SECRET_KEY", SECRET_KEY)

# --- What is served, and to whom -----------------------------------------------------------------

HOST = read("HOST", env.str, "127.0.0.1")
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
CORS_URLS_REGEX = r"^/(secrets|repositories)(/|$)"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []

# --- Limits --------------------------------------------------------------------------------------

TTL_PRESETS = durations("TTL_PRESETS", ["5m", "1h", "24h", "7d", "30d"])
MAX_SECRET_SIZE = whole_number("MAX_SECRET_SIZE", 10 * 2**20, 1, 2**28)
#: A character may take six bytes in JSON (\\u0000) and in a form (%0D%0A for a line's end).
MAX_BODY_SIZE = 6 * MAX_SECRET_SIZE + 64 * 1024
RATE_LIMIT_RPM = whole_number("RATE_LIMIT_RPM", 60, 1, 10**9)
RATE_LIMIT_BURST = whole_number("RATE_LIMIT_BURST", 10, 1, 10**9)
#: For requests with a live access token, which are counted by token: agents poll.
TOKEN_RATE_LIMIT_RPM = whole_number("TOKEN_RATE_LIMIT_RPM", 600, 1, 10**9)
TOKEN_RATE_LIMIT_BURST = whole_number("TOKEN_RATE_LIMIT_BURST", 100, 1, 10**9)
IDEMPOTENCY_GRACE_SECONDS = whole_number("IDEMPOTENCY_GRACE_SECONDS", 60, 1, 3600)
#: What may be kept at a time, by one client and by all together; 0 is no limit.
QUOTA_SHARES_PER_CLIENT = whole_number("QUOTA_SHARES_PER_CLIENT", 0, 0, 10**9)
QUOTA_BYTES_PER_CLIENT = whole_number("QUOTA_BYTES_PER_CLIENT", 0, 0, 10**15)
QUOTA_SHARES_TOTAL = whole_number("QUOTA_SHARES_TOTAL", 0, 0, 10**12)
QUOTA_BYTES_TOTAL = whole_number("QUOTA_BYTES_TOTAL", 0, 0, 10**18)
#: Who may create shares: clients of these networks (empty: all), and only with a sign-in.
CREATE_ALLOWED_FROM = networks("CREATE_ALLOWED_FROM")
CREATE_REQUIRES_LOGIN = read("CREATE_REQUIRES_LOGIN", env.bool, False)
FORCE_ONE_TIME = read("FORCE_ONE_TIME", env.bool, False)
GUESS_RATE = "30/5m"
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_SIZE
# A form field is never spooled to disk, and files are not accepted at all.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 0

# --- Processes -----------------------------------------------------------------------------------

REDIS_URL = read("REDIS_URL", env.str, "")
try:
    _redis = urlsplit(REDIS_URL)
    _usable = _redis.scheme in ("", "redis", "rediss", "unix") and _redis.port != 0
except ValueError:
    _usable = False
if not _usable or (REDIS_URL and not _redis.scheme):
    raise ImproperlyConfigured("REDIS_URL: must be a URL such as redis://host:6379/0.")
WEB_CONCURRENCY = whole_number("WEB_CONCURRENCY", 2 if REDIS_URL else 1, 1, 256)
WEB_THREADS = whole_number("WEB_THREADS", 16, 4, 512)
#: How many machines, containers or pods there are; seconds for requests when one is to stop.
REPLICAS = whole_number("REPLICAS", 1, 1, 10_000)
GRACEFUL_TIMEOUT = whole_number("GRACEFUL_TIMEOUT", 5, 1, 3600)
ACCESS_LOG = read("ACCESS_LOG", env.bool, False)
LOG_FORMAT = one_of("LOG_FORMAT", ["text", "json"])

#: Metrics are served on a port of their own, or behind a token; with neither there are none.
METRICS_HOST = read("METRICS_HOST", env.str, "127.0.0.1")
METRICS_PORT = whole_number("METRICS_PORT", 0, 0, 65535)
METRICS_TOKEN = read("METRICS_TOKEN", env.str, "")
METRICS = bool(METRICS_PORT or METRICS_TOKEN)
METRICS_FOLDER = FUGATA_HOME / "metrics"
if METRICS_PORT == PORT:
    raise ImproperlyConfigured("METRICS_PORT: must be another port than PORT.")
if METRICS_TOKEN and not re.fullmatch(r"[!-~]{16,1024}", METRICS_TOKEN):
    raise ImproperlyConfigured(
        "METRICS_TOKEN: must be 16 to 1,024 visible ASCII characters, without spaces."
    )

# --- Where things are kept -----------------------------------------------------------------------

_SQLITE = f"sqlite:///{quote(str(FUGATA_HOME))}/fugata.sqlite3"  # a folder may be named C#
DATABASES = {"default": read("DATABASE_URL", env.dj_db_url, _SQLITE)}
_database = DATABASES["default"]
_database["CONN_MAX_AGE"] = None
_options = _database.setdefault("OPTIONS", {})
if _database["ENGINE"] == "django.db.backends.sqlite3":
    if IN_CLUSTER:
        raise ImproperlyConfigured(
            "DATABASE_URL: must name a PostgreSQL database inside a cluster, where a file vanishes"
            " with the pod."
        )
    _options |= {
        "timeout": 30,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        " PRAGMA secure_delete=ON;",
    }
elif _database["ENGINE"] == "django.db.backends.postgresql":
    # Parameters bound by the server, and statements prepared at their second use.
    _options.setdefault("server_side_binding", True)
    _options.setdefault("prepare_threshold", 1)
    _options.setdefault("connect_timeout", 5)
    # A server that vanished without a word is noticed within seconds, not by the kernel's hours.
    _options.setdefault("tcp_user_timeout", 10_000)
    _options |= {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
else:
    raise ImproperlyConfigured("DATABASE_URL: must be a postgresql:// or sqlite:// URL.")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

#: The value store and the key provider, by dotted path with options, as STORAGES are;
#: KEY_PROVIDERS has every provider that is set up, to open what it wrapped, by its name.
_STORES = {
    "database": "vault_app.stores.database.DatabaseStore",
    "kubernetes": "vault_app.stores.kubernetes.KubernetesStore",
}
_store = read("VALUE_STORE", env.str, "database")
VALUE_STORE = {"BACKEND": _STORES.get(_store, _store), "OPTIONS": {}}
#: Values in Kubernetes: the kubeconfig (unless inside a cluster), the namespace, which holds
#: nothing else, and the seconds that keeping, reading or deleting a value may take.
KUBECONFIG = read("KUBECONFIG", env.str, "")
KUBERNETES_NAMESPACE = kubernetes_name("KUBERNETES_NAMESPACE", "fugata-values")
KUBERNETES_TIMEOUT = whole_number("KUBERNETES_TIMEOUT", 10, 1, 300)
KMS_PROVIDER, KEY_PROVIDERS = key_services.configured(WEB_THREADS)
KEY_SERVICES_IN_THE_CLEAR = key_services.in_the_clear(KEY_PROVIDERS)
FUGATA_KEYS = read("FUGATA_KEYS", env.str, "")
GENERATED += ["FUGATA_KEYS"] if key_services.is_local(KMS_PROVIDER) and not FUGATA_KEYS else []
KEYRING_FILE = FUGATA_HOME / "keyring"

#: Seconds a call to Redis may take; a slower one lets the request through.
REDIS_TIMEOUT = whole_number("REDIS_TIMEOUT_MS", 100, 1, 10_000) / 1000
_redis_cache = {
    "BACKEND": "django.core.cache.backends.redis.RedisCache",
    "LOCATION": REDIS_URL,
    "OPTIONS": {"socket_timeout": REDIS_TIMEOUT, "socket_connect_timeout": REDIS_TIMEOUT},
}
_memory_cache = {
    "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
    "OPTIONS": {"MAX_ENTRIES": 100_000},
}
CACHES = {"default": _redis_cache if REDIS_URL else _memory_cache}

# Without Redis the task queue is a folder: Celery's in-memory transport does not reach from a
# command to the worker, which are processes of their own.
_QUEUE = FUGATA_HOME / "queue"
CELERY_BROKER_URL = REDIS_URL or "filesystem://localhost/"
if not REDIS_URL:
    CELERY_BROKER_TRANSPORT = "fugata_server.folder_queue:FolderTransport"
    for _folder in ("messages", "control"):
        (_QUEUE / _folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_QUEUE / "messages"),
        "data_folder_out": str(_QUEUE / "messages"),
        "control_folder": str(_QUEUE / "control"),
        # Seconds between two looks into the folder; a worker that is to end waits for one.
        "polling_interval": 0.25,
    }
#: The module that has Celery's application, for whoever sends tasks.
TASK_APPLICATION = "fugata_site.celery"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(FUGATA_HOME / "beat-schedule")
CELERY_BEAT_SCHEDULE = schedule.SCHEDULE

# --- The audit trail -----------------------------------------------------------------------------

AUDIT_KEY = read("AUDIT_KEY", env.str, "")
if not AUDIT_KEY and IN_CLUSTER:
    raise ImproperlyConfigured(
        "AUDIT_KEY: must be set inside a cluster, where a generated one vanishes with the pod."
    )
GENERATED += [] if AUDIT_KEY else ["AUDIT_KEY"]
AUDIT_KEY = AUDIT_KEY or generated_secret(FUGATA_HOME / "audit_key")
long_enough("AUDIT_KEY", AUDIT_KEY)
AUDIT_HEAD_PATH = read("AUDIT_HEAD_PATH", env.str, "")
AUDIT_WEBHOOK_URL = read("AUDIT_WEBHOOK_URL", env.str, "")
if AUDIT_WEBHOOK_URL and urlsplit(AUDIT_WEBHOOK_URL).scheme not in ("http", "https"):
    raise ImproperlyConfigured("AUDIT_WEBHOOK_URL: must be an http:// or https:// address.")
AUDIT_RETENTION = time_span("AUDIT_RETENTION")

# --- The application -----------------------------------------------------------------------------

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
    "fugata_site.middleware.answer.AnswerMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "fugata_site.middleware.client.ClientMiddleware",
    *(["corsheaders.middleware.CorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    # Before all that may answer with a page: 429, an unknown Host, a body that is too large.
    "fugata_site.middleware.csp.PageCSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "fugata_site.middleware.ratelimit.RateLimitMiddleware",
    *(
        ["fugata_site.middleware.creation.CreationMiddleware"]
        if CREATE_ALLOWED_FROM or CREATE_REQUIRES_LOGIN
        else []
    ),
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
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = read("STATIC_ROOT", env.str, "") or None
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
WHITENOISE_MAX_AGE = 300
STORAGES = {"staticfiles": static_files.storage(STATIC_ROOT)}
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

# --- The admin -----------------------------------------------------------------------------------

#: Attempts to sign in, right ones too: by client, and by account from wherever.
SIGN_IN_RATE = "30/5m"
ACCOUNT_RATE = "10/5m"
SESSION_ENGINE = "operations_app.console.sessions"
SESSION_COOKIE_NAME = "__Host-admin" if HTTPS else "admin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Strict"
#: Seconds after the last request; closing the browser ends a session too.
SESSION_COOKIE_AGE = 1800
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_SAVE_EVERY_REQUEST = True
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
_VALIDATION = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_VALIDATION}.UserAttributeSimilarityValidator"},
    {"NAME": f"{_VALIDATION}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_VALIDATION}.CommonPasswordValidator"},
    {"NAME": f"{_VALIDATION}.NumericPasswordValidator"},
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "fugata_core.negotiation.JsonOnly",
    "DEFAULT_METADATA_CLASS": None,
    "UNAUTHENTICATED_USER": None,
    "EXCEPTION_HANDLER": "fugata_site.errors.api_exception_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
#: The modules that describe the APIs; each has `components`, the schemas that it refers to.
API_SCHEMAS = ["secrets_app.api.schema", "repositories_app.api.schema"]
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.1",
    "TITLE": "Fugata",
    "VERSION": "1",
    "DESCRIPTION": "Share a secret by a link that expires, and keep the secrets of repositories."
    ' Every error is `{"error": "one sentence"}`: also an unknown path (404) and a wrong method'
    " (405, with `Allow`).",
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "SERVERS": [{"url": "/"}],
    "TAGS": [
        {"name": "Shares", "description": "A secret behind a link that expires."},
        {"name": "Repositories", "description": "The secrets of a repository, behind tokens."},
        {"name": "Health", "description": "For probes; never rate-limited."},
    ],
}

# --- Safety --------------------------------------------------------------------------------------

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
SILENCED_SYSTEM_CHECKS = silenced.CHECKS

LOGGING = log_settings.configuration(LOG_FORMAT)
