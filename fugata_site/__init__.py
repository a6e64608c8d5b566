"""The composition root: settings, URLs, middleware, gunicorn's and Celery's set-up.

This file imports nothing, so that settings can be read from the environment without Django.
"""
