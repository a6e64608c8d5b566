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
        # It logs whole paths, of each answer from 400 on; ErrorMiddleware logs what failed.
        "django.request": {"handlers": ["nowhere"], "propagate": False},
        "django.security": {"handlers": ["nowhere"], "propagate": False},
        "botocore": {"level": "WARNING"},  # it tells each time where it found credentials
    },
}


def configuration(log_format: str) -> dict[str, Any]:
    """Return LOGGING, which writes in that format."""
    redacting = {"()": "fugata_core.logs.formatter", "log_format": log_format}
    return _CONFIGURATION | {"formatters": {"redacting": redacting}}
