"""The wiring: settings, addresses, processes. What Kos does lies in ``apps`` and ``kos``."""

from __future__ import annotations

from kosweb.celery import app as celery_app

__all__ = ["celery_app"]
