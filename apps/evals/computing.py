"""Numbers that take seconds are computed once, and again only when a grade changed.

While a run grades, its page is read far more often than it may be computed: a number is then
shown for as long as ``PATIENCE`` times what it took to make, with the time it was made.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from apps.evals import answers
from apps.evals.models import Computed
from apps.runs.models import ACTIVE, Run

PATIENCE = 10
LEAST = timedelta(seconds=3)
# The second half of an advisory lock's key, so that no other lock of Kos has the same.
LOCK = 0x4556414C


def of_run(run: Run, key: str, make: Callable[[], dict[str, Any]], basis: str = "") -> Computed:
    """The numbers called ``key``, made by ``make`` when they are missing or out of date.

    ``make`` must return JSON. Two requests at once compute it once. ``basis`` is given where
    the numbers stand on more than this run's own grades.
    """
    basis = basis or answers.basis_of(run)
    found = Computed.objects.filter(run=run, key=key).first()
    if found is not None and (found.basis == basis or _is_fresh(found)):
        return found
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, run.pk % 2**31])
        found = Computed.objects.filter(run=run, key=key).first()
        if found is not None and found.basis == basis:
            return found
        started = time.monotonic()
        data = make()
        defaults = {"basis": basis, "data": data, "seconds": time.monotonic() - started}
        return Computed.objects.update_or_create(run=run, key=key, defaults=defaults)[0]


def _is_fresh(found: Computed) -> bool:
    """Whether a running job's number may stand a little longer."""
    if found.run.status not in ACTIVE:
        return False
    age = timezone.now() - found.at
    return age < max(LEAST, timedelta(seconds=PATIENCE * found.seconds))
