"""Django's LOGGING: everything to the console, through the formatter that redacts."""

from typing import Any

_CONFIGURATION = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "redacting"},
        "nowhere": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
        # It logs whole paths, for each response from 400 up; ErrorMiddleware logs failures.
        "django.request": {"handlers": ["nowhere"], "propagate": False},
        "django.security": {"handlers": ["nowhere"], "propagate": False},
        "python_multipart": {"level": "CRITICAL"},  # it logs bytes of a form that it refuses
        "psycopg": {"level": "ERROR"},  # it warns of errors that it ignores, with their text
        # It logs each time where it found credentials, and a traceback where it did not.
        "botocore": {"level": "ERROR"},
    },
}


def configuration(log_format: str) -> dict[str, Any]:
    """Return LOGGING for that format."""
    redacting = {"()": "fugata_core.logs.formatter", "log_format": log_format}
    return _CONFIGURATION | {"formatters": {"redacting": redacting}}
