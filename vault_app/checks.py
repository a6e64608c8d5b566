"""Start-up checks of where values are kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from fugata_core.checks import START

#: Where a pod finds the name of its own namespace.
OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@checks.register(START)
def check_values_apart(
    app_configs: Sequence[AppConfig] | None, **_: Any
) -> list[checks.CheckMessage]:
    """Warn when values share a namespace with the pod, and so with its master key."""
    if not str(settings.VALUE_STORE["BACKEND"]).endswith(".KubernetesStore"):
        return []
    if not OWN_NAMESPACE.exists():
        return []
    if OWN_NAMESPACE.read_text().strip() != settings.VALUE_STORE["OPTIONS"].get("namespace"):
        return []
    return [
        checks.Warning(
            "KUBERNETES_NAMESPACE: values are kept in the namespace that Fugata itself runs in. A"
            " Role on Secrets can't be narrowed by label, so there it also reaches the master key.",
            hint="Give values a namespace of their own, as deploy/kubernetes does.",
            id="fugata.W001",
        )
    ]
