from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from apps.runs import events, services
from apps.runs.models import Event, Run, Status
from tests.factories import make_run


def in_threads(count, work):
    """``work(index)`` in ``count`` threads at once, each with its own connection."""

    def once(index):
        try:
            return work(index)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(once, range(count)))


@pytest.fixture
def held(db):
    return services.claim(make_run().pk, "one", lease_seconds=60)


@pytest.mark.django_db(transaction=True)
def test_of_eight_workers_one_gets_the_run():
    run = make_run()
    claims = in_threads(8, lambda n: services.claim(run.pk, f"worker {n}", lease_seconds=60))
    assert sum(claim is not None for claim in claims) == 1
    assert Run.objects.get().attempt == 1


@pytest.mark.django_db(transaction=True)
def test_sequence_numbers_have_no_gap_when_threads_speak_at_once():
    run = services.claim(make_run().pk, "one", lease_seconds=60)

    def speak(index):
        for _ in range(10):
            said = [events.new("note", text=str(index))] * 3
            events.append(run.pk, run.attempt, said, lease_seconds=60)

    in_threads(6, speak)
    seqs = list(Event.objects.filter(run=run).values_list("seq", flat=True))
    assert seqs == list(range(1, 1 + 180 + 1))
    assert Run.objects.get().last_seq == 181


def test_an_older_attempt_is_fenced_off(held):
    Run.objects.update(attempt=2)
    with pytest.raises(events.FencedOff):
        events.append(held.pk, 1, [events.new("note", text="late")], lease_seconds=60)
    assert not Event.objects.filter(kind="note").exists()


def test_nobody_speaks_for_a_run_that_ended(held):
    services.finish(held.pk, held.attempt, Status.DONE)
    with pytest.raises(events.FencedOff):
        events.append(held.pk, held.attempt, [], lease_seconds=60)


def test_an_empty_append_renews_the_lease(held):
    before = Run.objects.get().lease_until
    events.append(held.pk, held.attempt, [], lease_seconds=600)
    assert (Run.objects.get().lease_until - before).total_seconds() > 500
    assert Event.objects.filter(run=held).count() == 1


def test_an_append_brings_the_wish_to_stop(held):
    assert not events.append(held.pk, 1, [], lease_seconds=60).is_stop_requested
    services.stop(held)
    assert events.append(held.pk, 1, [], lease_seconds=60).is_stop_requested


def test_what_fails_alongside_takes_the_events_with_it(held):
    def fail(run):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        events.append(held.pk, 1, [events.new("note", text="")], lease_seconds=60, also=fail)
    assert Run.objects.get().last_seq == 1
