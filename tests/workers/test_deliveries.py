from __future__ import annotations

import threading

from django.db import OperationalError

from apps.automation import deliveries as tries
from workers import deliveries


def test_it_goes_on_until_told_to_end_and_over_a_database_that_is_away(db, monkeypatch):
    ended, said = threading.Event(), []

    def deliver_due() -> int:
        said.append("looked")
        if len(said) == 1:
            raise OperationalError("away")
        ended.set()
        return 0

    monkeypatch.setattr(tries, "deliver_due", deliver_due)
    monkeypatch.setattr(deliveries, "EVERY_SECONDS", 0.001)
    monkeypatch.setattr(deliveries, "sweep", lambda: said.append("swept"))
    monkeypatch.setattr(deliveries.connection, "close", lambda: said.append("closed"))
    deliveries.deliver_until(ended)
    assert said == ["looked", "closed", "looked", "swept"]


def test_a_full_load_is_followed_by_the_next_at_once(db, monkeypatch):
    ended, loads = threading.Event(), [tries.AT_ONCE, tries.AT_ONCE, 3]

    def deliver_due() -> int:
        if len(loads) == 1:
            ended.set()
        return loads.pop(0)

    monkeypatch.setattr(tries, "deliver_due", deliver_due)
    monkeypatch.setattr(deliveries, "EVERY_SECONDS", 0.001)
    deliveries.deliver_until(ended)
    assert loads == []
