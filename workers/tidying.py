"""Lets go what the rules for storage do not keep, once an hour beside the reconciler."""

from __future__ import annotations

import logging
import threading

from django.conf import settings
from django.db import connection

from apps.runs.storage import tidying
from kos.errors import UserError
from workers.away import AWAY

logger = logging.getLogger(__name__)

FIRST_SECONDS = 60.0
EVERY_SECONDS = 3600.0


def tidy_until(ended: threading.Event) -> None:
    """Tidy up again and again; at once back where there are no rules."""
    wait = FIRST_SECONDS
    while settings.RETENTION and not ended.wait(wait):
        wait = EVERY_SECONDS
        try:
            tidying.tidy(None)
        except UserError as error:
            logger.warning("nothing was tidied up: %s", error)
        except AWAY as error:
            logger.warning("the database is away: %s", error)
        finally:
            connection.close()
