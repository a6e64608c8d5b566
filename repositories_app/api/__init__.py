"""The repositories API (contract: repository-secrets-api.md)."""
