"""Metrics for Prometheus: counted by every process, served by one of them (docs/operating.md)."""
