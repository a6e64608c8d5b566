"""How the processes run: gunicorn's worker, request bodies, beat, heartbeat, the supervisor.

The web process waits for its clients in one poller, never in the request threads. This file imports
nothing: the supervisor runs without Django and Celery.
"""
