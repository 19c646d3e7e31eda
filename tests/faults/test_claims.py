"""Two workers at one run: the row decides, and only one speaks."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from apps.runs import events, services
from apps.runs.models import Event, Run, Status
from apps.runs.operations import waiting
from tests.factories import make_run

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts):
    """Run ``acts`` in threads that begin together; what each returned or raised."""
    found, barrier = [], threading.Barrier(len(acts))

    def work(act):
        try:
            barrier.wait()
            found.append(act())
        except events.FencedOff as error:
            found.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_of_eight_workers_one_gets_the_run():
    run = make_run()
    claims = [lambda n=n: services.claim(run.pk, f"w{n}", lease_seconds=60) for n in range(8)]
    claimed = [one for one in at_once(*claims) if one is not None]
    assert len(claimed) == 1
    run.refresh_from_db()
    assert (run.attempt, run.worker) == (1, claimed[0].worker)
    assert Event.objects.filter(run=run, data__status="running").count() == 1


def test_eight_bells_and_four_runs_make_four_attempts():
    runs = [make_run() for _ in range(4)]
    bells = [
        lambda n=n: waiting.claim_for(runs[n % 4].pk, f"w{n}", lease_seconds=60) for n in range(8)
    ]
    claimed = [one.pk for one in at_once(*bells) if one is not None]
    assert sorted(claimed) == [run.pk for run in runs]
    assert set(Run.objects.values_list("attempt", flat=True)) == {1}


def test_a_lapsed_run_is_lost_once_however_many_look():
    run = services.claim(make_run().pk, "w", lease_seconds=-1)
    assert sorted(at_once(*[lambda: services.lose(run.pk)] * 4)) == [False, False, False, True]
    assert Event.objects.filter(run=run, kind="lost").count() == 1


def test_the_worker_that_was_given_up_says_nothing_any_more():
    first = services.claim(make_run().pk, "old", lease_seconds=-1)
    services.lose(first.pk)
    second = services.claim(first.pk, "new", lease_seconds=60)
    note = [events.new("note", text="I am still here")]
    found = at_once(
        lambda: events.append(first.pk, first.attempt, note, lease_seconds=60),
        lambda: services.finish(first.pk, first.attempt, Status.DONE, note),
        lambda: events.append(second.pk, second.attempt, note, lease_seconds=60),
    )
    assert sum(isinstance(one, events.FencedOff) for one in found) == 2
    said = Event.objects.filter(run=first, kind="note")
    assert [*said.values_list("attempt", flat=True)] == [second.attempt]
