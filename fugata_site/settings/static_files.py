"""How static files are served: under content-hashed names where they were collected."""

_PLAIN = "django.contrib.staticfiles.storage.StaticFilesStorage"
_HASHED = "whitenoise.storage.CompressedManifestStaticFilesStorage"


def storage(root: str | None) -> dict[str, str]:
    """Return the entry of STORAGES: `root` is where `collectstatic` put the files, as in the
    image; without it they are served from where they are.
    """
    return {"BACKEND": _HASHED if root else _PLAIN}
