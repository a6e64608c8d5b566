"""Start-up checks of how the settings fit together (`manage.py check` runs them too)."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def shared_buckets(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Refuse several web processes without Redis: each would count its clients alone."""
    if settings.REDIS_URL or settings.WEB_CONCURRENCY == settings.REPLICAS == 1:
        return []
    several = "REPLICAS" if settings.REPLICAS > 1 else "WEB_CONCURRENCY"
    return [
        Error(
            f"{several}: several web processes need REDIS_URL, because without Redis each would"
            " keep rate-limit buckets of its own.",
            hint=f"Set REDIS_URL, or {several}=1.",
            id="fugata.E001",
        )
    ]


@register()
def backends_load(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Refuse a value store or key provider that can't be loaded, naming its setting."""
    from secrets_app.vault.backends import load

    problems: list[CheckMessage] = []
    for number, name in enumerate(("VALUE_STORE", "KMS_PROVIDER"), start=2):
        try:
            load(name, **({"app": "shares"} if name == "VALUE_STORE" else {}))
        except Exception as error:  # whatever an import or a constructor raises
            problems.append(
                Error(
                    f"{name}: the backend can't be used: {error}",
                    hint=f"{name} takes a built-in name (README.md lists them) or a dotted path.",
                    id=f"fugata.E00{number}",
                )
            )
    return problems
