"""Start-up checks for production: they refuse what only suits a single machine."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register

from fugata_core.checks import START

#: Addresses of a network in TRUSTED_PROXIES from which it is taken to hold clients too (a /20).
MANY_ADDRESSES = 2**12


@register(START)
def check_shared_state(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Refuse several replicas, or pods, whose keys or database are local to one machine."""
    if settings.REPLICAS == 1 and not settings.IN_CLUSTER:
        return []
    return [*_generated_keys(), *_file_database()]


def _generated_keys() -> Iterator[CheckMessage]:
    for name in settings.GENERATED_SECRETS:
        yield Error(
            f"{name}: several replicas (REPLICAS) or pods need the same one, and each would make"
            " its own under FUGATA_HOME.",
            hint=f"Set {name}, or {name}_FILE, to the same secret everywhere. docs/install.md says"
            " how to make one.",
            id="fugata.E010",
        )


def _file_database() -> Iterator[CheckMessage]:
    if settings.DATABASES["default"]["ENGINE"] == "fugata_core.sqlite":
        yield Error(
            "DATABASE_URL: several replicas (REPLICAS) or pods need one PostgreSQL database, and"
            " SQLite is a file of one machine.",
            hint="Set DATABASE_URL=postgresql://user:password@host/name, or REPLICAS=1.",
            id="fugata.E011",
        )


@register(START)
def check_head_outlives_pods(
    app_configs: Sequence[AppConfig] | None, **_: Any
) -> list[CheckMessage]:
    """Refuse a head of the trail that goes with its pod: the next one would take any trail."""
    if settings.AUDIT_HEAD_IS_PLACED or not settings.IN_CLUSTER:
        return []
    return [
        Error(
            "AUDIT_HEAD_CONFIGMAP: it, or AUDIT_HEAD_PATH, must be set inside a cluster. Under"
            " FUGATA_HOME the head of the audit trail vanishes with the pod, and events that are"
            " removed are not missed.",
            hint="Set AUDIT_HEAD_CONFIGMAP to the name of a ConfigMap that the worker may get and"
            " update (deploy/kubernetes/base/audit-head.yaml), or AUDIT_HEAD_PATH to a file on a"
            " volume that stays.",
            id="fugata.E015",
        )
    ]


def _in_production() -> bool:
    """Return whether anyone other than the developer can reach this process."""
    return bool(settings.HTTPS or settings.IN_CLUSTER or settings.REPLICAS > 1)


@register(START)
def check_debug_is_off(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Refuse DEBUG in production: its error pages show what a request contained."""
    if not (settings.DEBUG and _in_production()):
        return []
    return [
        Error(
            "DEBUG: must be off in production (an https PUBLIC_URL, a cluster, or REPLICAS),"
            " because its error pages show what a request held.",
            hint="Remove DEBUG, or set DEBUG=false.",
            id="fugata.E012",
        )
    ]


@register(START)
def check_hosts_are_named(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Refuse ALLOWED_HOSTS=* in production: without PUBLIC_URL, links are made with the Host."""
    if "*" not in settings.ALLOWED_HOSTS or not _in_production():
        return []
    return [
        Error(
            "ALLOWED_HOSTS: must not be * in production (an https PUBLIC_URL, a cluster, or"
            " REPLICAS): whoever sends another Host would have it believed.",
            hint="Remove ALLOWED_HOSTS (then it is the host of PUBLIC_URL), or name the hosts.",
            id="fugata.E013",
        )
    ]


@register(START)
def check_static_files(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Refuse a STATIC_ROOT with nothing in it: every page would fail."""
    root = settings.STATIC_ROOT
    if root is None or (Path(root) / "staticfiles.json").is_file():
        return []
    return [
        Error(
            "STATIC_ROOT: the folder has no collected static files.",
            hint="Run python manage.py collectstatic --no-input, or remove STATIC_ROOT.",
            id="fugata.E014",
        )
    ]


@register(checks.Tags.security, deploy=True)
def check_trusted_proxy(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Warn if a proxy ends TLS and TRUSTED_PROXIES is empty."""
    if not settings.HTTPS or settings.TRUSTED_PROXIES:
        return []
    return [
        checks.Warning(
            "TRUSTED_PROXIES: is empty, though PUBLIC_URL is https: the proxy that ends TLS is"
            " taken for the client, and all clients share one rate limit.",
            hint="Set TRUSTED_PROXIES to the addresses that the proxy connects from.",
            id="fugata.W010",
        )
    ]


@register(checks.Tags.security, deploy=True)
def check_trust_is_narrow(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Warn if more than proxies are believed: everybody there could choose an address."""
    wide = [str(each) for each in settings.TRUSTED_PROXIES if each.num_addresses > MANY_ADDRESSES]
    return [
        checks.Warning(
            f"TRUSTED_PROXIES: {network} has room for more than proxies. Each client in it can"
            " choose the address that it is counted under, and all of them count as one.",
            hint="Name the addresses that the proxy connects from, and no others.",
            id="fugata.W011",
        )
        for network in wide
    ]
