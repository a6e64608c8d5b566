"""The settings of the key services: which provider wraps keys, and which may unwrap them.

Vault's settings have the names that Vault's own tools use.
"""

import os
import re
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from fugata_site.settings.environment import env, names, one_of, read, whole_number

Backend = dict[str, Any]

LOCAL = "vault_app.keys.local.LocalKeyring"
VAULT = "vault_app.keys.vault.VaultTransit"
AWS = "vault_app.keys.aws.AwsKms"
#: What the settings of each Vault begin with; the second is for moving from one to the other.
_VAULTS = {"vault": "VAULT_", "vault2": "VAULT2_"}
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
    for name, prefix in _VAULTS.items():
        if chosen == name or names(f"{prefix}TRANSIT_KEY", []):
            providers[name] = {"BACKEND": VAULT, "OPTIONS": _vault(prefix, name) | common}
    if chosen == "aws" or names("AWS_KMS_KEY_ID", []):
        providers["aws"] = {"BACKEND": AWS, "OPTIONS": _aws() | common}
    by_path = {provider["BACKEND"]: provider for provider in reversed(providers.values())}
    return (providers | by_path).get(chosen, {"BACKEND": chosen, "OPTIONS": {}}), providers


def is_local(provider: Backend) -> bool:
    """Return whether the provider is the local keyring."""
    return bool(provider["BACKEND"] == LOCAL)


def in_the_clear(providers: dict[str, Backend]) -> list[str]:
    """Return the settings that have a key service on another machine called over plain HTTP."""
    places = {
        "VAULT_ADDR": providers.get("vault", {}).get("OPTIONS", {}).get("address", ""),
        "VAULT2_ADDR": providers.get("vault2", {}).get("OPTIONS", {}).get("address", ""),
        "AWS_KMS_ENDPOINT": providers.get("aws", {}).get("OPTIONS", {}).get("endpoint", ""),
    }
    parts = {setting: urlsplit(url) for setting, url in places.items()}
    return [
        setting
        for setting, url in parts.items()
        if url.scheme == "http" and url.hostname not in _ON_THIS_MACHINE
    ]


def _vault(prefix: str, name: str) -> Backend:
    """Return the options of the Vault whose settings begin with `prefix`."""
    mount = read(f"{prefix}TRANSIT_MOUNT", env.str, "transit").strip("/")
    if not _is_path(mount):
        raise ImproperlyConfigured(f"{prefix}TRANSIT_MOUNT: must be a path such as transit.")
    return {
        "address": _url(f"{prefix}ADDR", required=True),
        "keys": _keys(f"{prefix}TRANSIT_KEY", _VAULT_KEY, "the name of a Transit key"),
        **_token(prefix),
        "mount": mount,
        "namespace": read(f"{prefix}NAMESPACE", env.str, ""),
        "ca": read(f"{prefix}CACERT", env.str, ""),
        **_client_certificate(prefix),
        **({} if name == "vault" else {"name": name, "setting": prefix}),
    }


def _token(prefix: str) -> dict[str, Any]:
    """Return where the token comes from: a setting, a file, or a login."""
    method = one_of(f"{prefix}AUTH", ["token", "approle", "kubernetes", "jwt"])
    if method != "token":
        return {"login": _LOGINS[method](prefix) | {"method": method, "mount": _auth_mount(prefix)}}
    # The file is read when the token is needed: an agent may not have written it yet.
    file = os.environ.get(f"{prefix}TOKEN_FILE", "").strip()
    token = "" if file else read(f"{prefix}TOKEN", env.str, "")
    if not file and not re.fullmatch(r"[!-~]+", token):
        raise ImproperlyConfigured(
            f"{prefix}TOKEN: must be set, or {prefix}TOKEN_FILE, or {prefix}AUTH say how to log"
            " in, to use Vault. A token has no spaces."
        )
    return {"token": token, "token_file": file}


def _approle(prefix: str) -> dict[str, str]:
    file = os.environ.get(f"{prefix}SECRET_ID_FILE", "").strip()
    secret = "" if file else _needed(f"{prefix}SECRET_ID", "to log in to Vault by AppRole")
    role = _needed(f"{prefix}ROLE_ID", "to log in to Vault by AppRole")
    return {"role": role, "secret": secret, "secret_file": file}


def _kubernetes(prefix: str) -> dict[str, str]:
    role = _needed(f"{prefix}ROLE", "to log in to Vault by Kubernetes")
    return {"role": role, "secret_file": read(f"{prefix}JWT_FILE", env.str, "")}


def _jwt(prefix: str) -> dict[str, str]:
    role = _needed(f"{prefix}ROLE", "to log in to Vault by JWT")
    return {"role": role, "secret_file": _needed(f"{prefix}JWT_FILE", "to log in to Vault by JWT")}


_LOGINS = {"approle": _approle, "kubernetes": _kubernetes, "jwt": _jwt}


def _needed(setting: str, what_for: str) -> str:
    text = read(setting, env.str, "")
    if not text:
        raise ImproperlyConfigured(f"{setting}: must be set {what_for}.")
    return text


def _auth_mount(prefix: str) -> str:
    mount = read(f"{prefix}AUTH_MOUNT", env.str, "").strip("/")
    if mount and not _is_path(mount):
        raise ImproperlyConfigured(f"{prefix}AUTH_MOUNT: must be a path such as approle.")
    return mount


def _is_path(text: str) -> bool:
    return bool(_VAULT_MOUNT.fullmatch(text)) and ".." not in text


def _client_certificate(prefix: str) -> dict[str, str]:
    certificate = read(f"{prefix}CLIENT_CERT", env.str, "")
    key = read(f"{prefix}CLIENT_KEY", env.str, "")
    if key and not certificate:
        raise ImproperlyConfigured(f"{prefix}CLIENT_CERT: must be set with {prefix}CLIENT_KEY.")
    return {"certificate": certificate, "key": key} if certificate else {}


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
