"""The composition root: settings, URLs, middleware, gunicorn's and Celery's set-up."""
