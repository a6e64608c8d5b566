"""The composition: settings, addresses, processes, middleware, the error envelope, health.

It imports nothing: the supervisor and the probes do without Django and Celery.
"""
