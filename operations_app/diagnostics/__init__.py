"""Is the service healthy, and if not, what to do? Used by probes, the console and metrics."""
