"""Start-up checks that the settings are consistent.

A start runs only these; `manage.py check` and the tests run Django's and the libraries' too,
which inspect the code and load all of it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured

from fugata_core.checks import START
from vault_app.keys.keyring import WrongKeyring

#: Seconds that a start waits for Redis to connect, and to answer.
_REDIS_PATIENCE = 1.0
_REDIS_HINT = (
    "Correct user, password, database, host or ?ssl_ca_certs= in REDIS_URL. docs/settings.md says"
    " what it may hold."
)


@register(START)
def check_shared_buckets(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Refuse several web processes without Redis: each would count clients separately."""
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


@register(START)
def check_redis(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Refuse a REDIS_URL that Redis refuses. If Redis is down, requests are served without it."""
    if not settings.REDIS_URL:
        return []
    from fugata_core.redis_client import refusal  # large, and Redis is optional

    why = refusal(_REDIS_PATIENCE)
    return [Error(f"REDIS_URL: {why}.", hint=_REDIS_HINT, id="fugata.E004")] if why else []


@register(START)
def check_backends_load(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Refuse a value store or key provider that can't be loaded, naming its setting."""
    from vault_app.backends import load, load_provider

    makers: list[tuple[str, Callable[[], object]]] = [
        ("VALUE_STORE", partial(load, "VALUE_STORE", app="shares")),
        ("KMS_PROVIDER", partial(load, "KMS_PROVIDER")),
        *(("KMS_PROVIDER", partial(load_provider, name)) for name in settings.KEY_PROVIDERS),
    ]
    found = [_unusable(name, make) for name, make in makers]
    return list({problem.msg: problem for problem in found if problem}.values())


_IDS = {"VALUE_STORE": "fugata.E002", "KMS_PROVIDER": "fugata.E003"}


def _unusable(name: str, make: Callable[[], object]) -> CheckMessage | None:
    try:
        make()
    except WrongKeyring as error:  # whose words name what is wrong
        return Error(str(error), id=_IDS[name])
    except Exception as error:  # whatever an import or a constructor raises
        if name == "KMS_PROVIDER" and isinstance(error, ImproperlyConfigured):
            return Error(str(error), id=_IDS[name])  # it begins with the setting
        return Error(
            f"{name}: the backend can't be used: {error}",
            hint=f"{name} takes a built-in name (docs/settings.md lists them) or a dotted path.",
            id=_IDS[name],
        )
    return None


@register(START)
def check_key_services_use_tls(
    app_configs: Sequence[AppConfig] | None, **_: Any
) -> list[CheckMessage]:
    """Warn of a key service that is called over plain HTTP: data keys pass unencrypted."""
    return [
        CheckWarning(
            f"{setting}: data keys travel to it in the clear.",
            hint="Use https:// for everything that is not on this machine.",
            id="fugata.W002",
        )
        for setting in settings.KEY_SERVICES_IN_THE_CLEAR
    ]
