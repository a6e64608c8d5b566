"""Values in Kubernetes: which cluster and namespace, and what the objects there carry."""

import json
import re
from collections.abc import Callable

from django.core.exceptions import ImproperlyConfigured

from fugata_site.settings.environment import env, read, whole_number

#: A label's value, or the name in its key (Kubernetes: "Labels and Selectors").
_NAME = r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_KEY = re.compile(rf"((?=[^/]{{1,253}}/){_DNS_LABEL}(\.{_DNS_LABEL})*/)?{_NAME}\Z")
_LABEL = re.compile(rf"({_NAME})?\Z")
#: Labels by which Fugata knows its own.
_OWN = {f"app.kubernetes.io/{name}" for name in ("managed-by", "instance", "component")}
#: Bytes of all annotations together (TotalAnnotationSizeLimitB is 256 KiB).
_MAX_ANNOTATIONS = 100_000


def namespace(name: str, default: str) -> str:
    """Return the name of a namespace (RFC 1123: a label). Raises ImproperlyConfigured."""
    value = read(name, env.str, default)
    if not re.fullmatch(_DNS_LABEL, value):
        raise ImproperlyConfigured(
            f"{name}: must be a namespace's name, of at most 63 of a-z, 0-9 and -, beginning and"
            " ending with a letter or digit."
        )
    return value


def labels(name: str) -> dict[str, str]:
    """Return labels for the objects of values. Raises ImproperlyConfigured, naming `name`."""
    found = _pairs(name, _LABEL.match)
    if own := sorted(_OWN & found.keys()):
        raise ImproperlyConfigured(f"{name}: {own[0]} is Fugata's own label. Choose another one.")
    return found


def annotations(name: str) -> dict[str, str]:
    """Return annotations for the objects of values. Raises ImproperlyConfigured."""
    found = _pairs(name, lambda value: value.encode() is not None)  # no half of a surrogate pair
    if sum(len(text.encode()) for text in (*found, *found.values())) > _MAX_ANNOTATIONS:
        raise ImproperlyConfigured(f"{name}: at most {_MAX_ANNOTATIONS} bytes in all.")
    return found


def _pairs(name: str, is_value: Callable[[str], object]) -> dict[str, str]:
    text = read(name, env.str, "")
    try:
        found = json.loads(text) if text.startswith("{") else _split(text)
        usable = all(
            isinstance(value, str) and _KEY.match(key) and is_value(value)
            for key, value in found.items()
        )
    except ValueError:
        usable = False
    if not usable:
        raise ImproperlyConfigured(
            f"{name}: must be pairs such as team=payments,cost-center=42, or one JSON object of"
            " strings, with keys (and for labels, values) as Kubernetes allows them."
        )
    return dict(found)


def _split(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not all(separator for _, separator, _ in pairs):
        raise ValueError("a pair without =")
    return {key.strip(): value.strip() for key, _, value in pairs}


#: The kubeconfig (unless inside a cluster), the namespace, which holds nothing else, and the
#: seconds that storing, reading or deleting a value may take.
KUBECONFIG = read("KUBECONFIG", env.str, "")
KUBERNETES_NAMESPACE = namespace("KUBERNETES_NAMESPACE", "fugata-values")
KUBERNETES_TIMEOUT = whole_number("KUBERNETES_TIMEOUT", 10, 1, 300)
#: What a cluster's policies, or its bills, ask of every object.
KUBERNETES_LABELS = labels("KUBERNETES_LABELS")
KUBERNETES_ANNOTATIONS = annotations("KUBERNETES_ANNOTATIONS")
