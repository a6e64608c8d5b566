"""How static files are served: under names of their content where they were collected."""

_PLAIN = "django.contrib.staticfiles.storage.StaticFilesStorage"
_HASHED = "whitenoise.storage.CompressedManifestStaticFilesStorage"


def storage(root: str | None) -> dict[str, str]:
    """Return the entry of STORAGES: `root` is where `collectstatic` put the files, as in the
    image; without it they are served from where they lie.
    """
    return {"BACKEND": _HASHED if root else _PLAIN}
