"""The secrets of repositories, behind bearer tokens (contract: repository-secrets-api.md)."""
