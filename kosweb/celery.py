"""The Celery app. Messages are doorbells: what a run is and does stands in its row."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kosweb.settings")

app = Celery("kosweb")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Lazy: the web process never imports the workers' room.
app.autodiscover_tasks(["workers"])
