"""How the processes run: gunicorn's worker, request bodies, beat, heartbeat, their parent.

The web process waits for its clients in one poller, never in the request threads. This file imports
nothing: the supervisor and the probes do without Django and Celery.
"""
