"""``python -m workers.reconcile``: finds lost runs and rings again for forgotten ones.

Several may run: each row is seen to by one (SKIP LOCKED).
"""

from __future__ import annotations

import logging
import os
import signal
import threading

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kosweb.settings")
    django.setup()

# The models need the apps that the lines above load.
from django.db import connection

from apps.deployments import services as deployments
from apps.runs import services
from apps.runs.operations import workers
from workers import deliveries, tidying
from workers.away import AWAY

logger = logging.getLogger(__name__)

EVERY_SECONDS = 2.0


def sweep() -> None:
    """One look: lapsed runs are lost, those nobody came for are rung for, the dead forgotten."""
    for run_id in services.lapsed():
        if services.lose(run_id, also=deployments.mark_stopped):
            logger.warning("run %s was lost: its lease ran out", run_id)
    num_rung = services.ring_again()
    if num_rung:
        logger.info("rang again for %s waiting runs", num_rung)
    if num_forgotten := workers.forget():
        logger.info("forgot %s silent workers", num_forgotten)


def main() -> None:
    ended = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: ended.set())
    # Beside, not within: a slow receiver must not keep us from a lost run.
    threading.Thread(target=deliveries.deliver_until, args=[ended], daemon=True).start()
    threading.Thread(target=tidying.tidy_until, args=[ended], daemon=True).start()
    while not ended.wait(EVERY_SECONDS):
        try:
            sweep()
        except AWAY as error:
            logger.warning("the database is away: %s", error)
            connection.close()


if __name__ == "__main__":
    main()
