"""How the processes run: gunicorn's worker, request bodies, beat, heartbeat, the supervisor.

fugata_server/README.md explains how a request gets a thread. This file imports nothing: the
supervisor runs without Django and Celery.
"""
