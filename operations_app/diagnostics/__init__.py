"""Is the service well, and if not, what is to be done? Probes, the console and metrics ask here."""
