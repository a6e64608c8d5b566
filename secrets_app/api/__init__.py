"""The sharing API (contract: fugata-api.md)."""
