"""Brings events to webhooks, beside the reconciler and never within a run or a page."""

from __future__ import annotations

import logging
import threading
import time

from django.db import connection

from apps.automation import deliveries, replies
from workers.away import AWAY

logger = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
SWEEP_SECONDS = 3600.0


def deliver_until(ended: threading.Event) -> None:
    """Make the tries that are due, again and again, and tidy up once an hour."""
    next_sweep = 0.0
    while not ended.wait(EVERY_SECONDS):
        try:
            # A full load means that more are waiting.
            while deliveries.deliver_due() == deliveries.AT_ONCE and not ended.is_set():
                pass
            if time.monotonic() >= next_sweep:
                sweep()
                next_sweep = time.monotonic() + SWEEP_SECONDS
        except AWAY as error:
            logger.warning("the database is away: %s", error)
            connection.close()


def sweep() -> None:
    """Forget what nobody asks for any more."""
    num_replies, num_deliveries = replies.sweep(), deliveries.sweep()
    if num_replies or num_deliveries:
        logger.info("forgot %s replies and %s deliveries", num_replies, num_deliveries)
