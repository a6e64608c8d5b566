"""How DRF is set up, and how the APIs are described. Little of DRF is used: see JsonViewSet."""

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "fugata_core.negotiation.JsonOnly",
    "DEFAULT_METADATA_CLASS": None,
    "UNAUTHENTICATED_USER": None,
    "EXCEPTION_HANDLER": "fugata_site.errors.api_exception_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
#: The modules that describe the APIs; each has `components`, the schemas that it refers to.
API_SCHEMAS = ["secrets_app.api.schema", "repositories_app.api.schema"]
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.1",
    "TITLE": "Fugata",
    "VERSION": "1",
    "DESCRIPTION": "Share a secret by a link that expires, and keep the secrets of repositories."
    ' Every error is `{"error": "one sentence"}`: also an unknown path (404) and a wrong method'
    " (405, with `Allow`).",
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "SERVERS": [{"url": "/"}],
    "TAGS": [
        {"name": "Shares", "description": "A secret behind a link that expires."},
        {"name": "Repositories", "description": "The secrets of a repository, behind tokens."},
        {"name": "Health", "description": "For probes; never rate-limited."},
    ],
}
