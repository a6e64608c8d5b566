"""The settings of the key services: which provider wraps keys, and which may unwrap them.

Vault's settings have the names that Vault's own tools use.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from fugata_site.settings.environment import env, names, read, whole_number

Backend = dict[str, Any]

LOCAL = "vault_app.keys.local.LocalKeyring"
VAULT = "vault_app.keys.vault.VaultTransit"
AWS = "vault_app.keys.aws.AwsKms"
#: Valid names of a key and a mount in Vault, and of a key in AWS KMS, aliases excluded.
_VAULT_KEY = re.compile(r"\w(([-.\w]+)?\w)?", re.ASCII)
_VAULT_MOUNT = re.compile(r"[-.\w]+(/[-.\w]+)*", re.ASCII)
_AWS_KEY = re.compile(r"(arn:[-\w]+:kms:[-\w]+:[0-9]{12}:key/)?[-0-9A-Za-z]{1,128}", re.ASCII)
_ON_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def key_providers(local: dict[str, Any], connections: int) -> tuple[Backend, dict[str, Backend]]:
    """Return the chosen provider, and all configured ones by name.

    A provider is configured if it is the chosen one, or if its keys are named: then it unwraps
    what it wrapped. `local`: the options of the local keyring; `connections`: how many threads
    of a process may call a provider at once.
    Raises ImproperlyConfigured.
    """
    chosen = read("KMS_PROVIDER", env.str, "local")
    providers: dict[str, Backend] = {"local": {"BACKEND": LOCAL, "OPTIONS": local}}
    common = {"timeout": whole_number("KMS_TIMEOUT", 5, 1, 60), "connections": connections}
    if chosen == "vault" or names("VAULT_TRANSIT_KEY", []):
        providers["vault"] = {"BACKEND": VAULT, "OPTIONS": _vault() | common}
    if chosen == "aws" or names("AWS_KMS_KEY_ID", []):
        providers["aws"] = {"BACKEND": AWS, "OPTIONS": _aws() | common}
    by_path = {provider["BACKEND"]: provider for provider in providers.values()}
    return (providers | by_path).get(chosen, {"BACKEND": chosen, "OPTIONS": {}}), providers


def is_local(provider: Backend) -> bool:
    """Return whether the provider is the local keyring."""
    return bool(provider["BACKEND"] == LOCAL)


def in_the_clear(providers: dict[str, Backend]) -> list[str]:
    """Return the settings that have a key service on another machine called over plain HTTP."""
    places = {
        "VAULT_ADDR": providers.get("vault", {}).get("OPTIONS", {}).get("address", ""),
        "AWS_KMS_ENDPOINT": providers.get("aws", {}).get("OPTIONS", {}).get("endpoint", ""),
    }
    parts = {setting: urlsplit(url) for setting, url in places.items()}
    return [
        setting
        for setting, url in parts.items()
        if url.scheme == "http" and url.hostname not in _ON_THIS_MACHINE
    ]


def _vault() -> Backend:
    mount = read("VAULT_TRANSIT_MOUNT", env.str, "transit").strip("/")
    if not _VAULT_MOUNT.fullmatch(mount) or ".." in mount:
        raise ImproperlyConfigured("VAULT_TRANSIT_MOUNT: must be a path such as transit.")
    token_file = read("VAULT_TOKEN_FILE", env.str, "")
    token = read("VAULT_TOKEN", env.str, "")
    if not token:
        raise ImproperlyConfigured("VAULT_TOKEN: must be set, or VAULT_TOKEN_FILE, to use Vault.")
    return {
        "address": _url("VAULT_ADDR", required=True),
        "keys": _keys("VAULT_TRANSIT_KEY", _VAULT_KEY, "the name of a Transit key"),
        "token": token,
        "token_file": token_file,
        "mount": mount,
        "namespace": read("VAULT_NAMESPACE", env.str, ""),
        "ca": read("VAULT_CACERT", env.str, ""),
    }


def _aws() -> Backend:
    what = "a key id or the ARN of a key (not an alias, which may come to mean another key)"
    region = read("AWS_REGION", env.str, "") or read("AWS_DEFAULT_REGION", env.str, "")
    return {
        "keys": _keys("AWS_KMS_KEY_ID", _AWS_KEY, what),
        "region": region,
        "endpoint": _url("AWS_KMS_ENDPOINT"),
    }


def _keys(setting: str, shape: re.Pattern[str], what: str) -> list[str]:
    keys = names(setting, [])
    if not keys or not all(shape.fullmatch(key) and len(key) <= 150 for key in keys):
        raise ImproperlyConfigured(
            f"{setting}: must be {what}. Several are separated by commas: the first wraps, all"
            " of them open."
        )
    return keys


def _url(setting: str, required: bool = False) -> str:
    text = read(setting, env.str, "").rstrip("/")
    if not text and not required:
        return ""
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable or url.path or url.query or url.username:
        raise ImproperlyConfigured(f"{setting}: must be a URL such as https://host:8200.")
    return text
