"""What would go by the rules, and letting it go."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from apps.accounts import audit
from apps.accounts.models import User, Verb
from apps.runs.storage import policy, stock
from apps.runs.storage.policy import Rule
from apps.runs.storage.stock import Candidate, Kind, Total
from kos.errors import UserError

logger = logging.getLogger(__name__)

# One of all processes tidies at a time.
LOCK = 0x6B6F7301


class Going(NamedTuple):
    """Something that would go, and why."""

    candidate: Candidate
    why: str


class Store(NamedTuple):
    """One kind: what there is, the rule for it if there is one, and what goes by that."""

    kind: Kind
    total: Total
    rule: Rule | None
    going: list[Going]

    @property
    def going_bytes(self) -> int:
        return sum(going.candidate.size_bytes for going in self.going)

    @property
    def over_bytes(self) -> int:
        """How far it stays over its budget even then, because the rest is needed."""
        budget = self.rule.budget_bytes if self.rule is not None else None
        return 0 if budget is None else max(0, self.total.size_bytes - self.going_bytes - budget)


class Tidied(NamedTuple):
    """What went of a kind; ``num_left`` is what there was no time for."""

    kind: Kind
    num: int
    size_bytes: int
    num_left: int


def stores(now: datetime | None = None) -> list[Store]:
    """Every kind with what would go: the dry run. Nothing is changed."""
    rules = policy.read()
    moment = now or timezone.now()
    return [_store(kind, rules.get(name), moment) for name, kind in stock.KINDS.items()]


def tidy(
    user: User | None,
    *,
    seconds: float = float("inf"),
    said: Callable[[Store, Going, int], None] = lambda *told: None,
) -> list[Tidied]:
    """Delete what the rules let go, for so long at most; writes what went into the audit log.

    Raises UserError when another process is at it, or the rules are wrong.
    """
    until = time.monotonic() + seconds
    with _alone():
        found = [_tidy(store, until, said) for store in stores() if store.going]
        for one in found:
            if one.num:
                audit.note(
                    user, Verb.STORAGE_TIDIED, one.kind.label, num=one.num, bytes=one.size_bytes
                )
                logger.info("tidied %s: %s, %s bytes", one.kind.name, one.num, one.size_bytes)
    return found


def _tidy(store: Store, until: float, said: Callable[[Store, Going, int], None]) -> Tidied:
    num = size = 0
    for place, going in enumerate(store.going):
        if time.monotonic() >= until:
            return Tidied(store.kind, num, size, len(store.going) - place)
        given_back = going.candidate.delete()
        said(store, going, given_back)
        num += given_back > 0
        size += given_back
    return Tidied(store.kind, num, size, 0)


def _store(kind: Kind, rule: Rule | None, now: datetime) -> Store:
    total = kind.total()
    going = [] if rule is None else [*_going(kind, rule, total, now)]
    return Store(kind, total, rule, going)


def _going(kind: Kind, rule: Rule, total: Total, now: datetime) -> Iterator[Going]:
    """Too old, then, oldest first, what is over the budget."""
    before, budget = rule.before(now), rule.budget_bytes
    over = total.size_bytes - budget if budget is not None else 0
    # Without a budget what is younger need not be looked at.
    found: Iterable[Candidate] = kind.candidates(before if budget is None else None)
    for one in found:
        if before is not None and one.since < before:
            yield Going(one, f"over for {(now - one.since).days} days, {rule.days:g} are kept")
        elif over > 0:
            yield Going(
                one, f"the oldest of {filesizeformat(total.size_bytes)}, {rule.gb:g} GB are kept"
            )
        else:
            continue
        over -= one.size_bytes


@contextmanager
def _alone() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            raise UserError("another process is tidying up; wait until it is through")
        try:
            yield
        finally:
            cursor.execute("select pg_advisory_unlock(%s)", [LOCK])
