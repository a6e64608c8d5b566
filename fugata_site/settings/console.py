"""The console: sessions, passwords, and attempts to sign in."""

from fugata_site.settings.serving import HTTPS

#: Wrong attempts to sign in: per client, per account from one network, and per account from all.
#: The last is wide: whoever reaches it locks the account's owner out.
SIGN_IN_RATE = "30/5m"
ACCOUNT_IN_NETWORK_RATE = "10/5m"
ACCOUNT_RATE = "100/h"
SESSION_ENGINE = "operations_app.console.sessions"
SESSION_COOKIE_NAME = "__Host-admin" if HTTPS else "admin"
SESSION_COOKIE_HTTPONLY = True
# With "Strict", a link on another site would ask who is signed in to sign in again. No GET changes
# anything, and every POST has a CSRF token (test_crawl.py, test_signin.py).
SESSION_COOKIE_SAMESITE = "Lax"
#: Seconds after the last request; closing the browser ends a session too.
SESSION_COOKIE_AGE = 1800
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_SAVE_EVERY_REQUEST = True
MESSAGE_STORAGE = "operations_app.console.messages.MessageStorage"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
_VALIDATION = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_VALIDATION}.UserAttributeSimilarityValidator"},
    {"NAME": f"{_VALIDATION}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_VALIDATION}.CommonPasswordValidator"},
    {"NAME": f"{_VALIDATION}.NumericPasswordValidator"},
]
