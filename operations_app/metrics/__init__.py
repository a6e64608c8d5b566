"""Metrics for Prometheus: counted by every process, answered by one of them (docs/operating.md)."""
