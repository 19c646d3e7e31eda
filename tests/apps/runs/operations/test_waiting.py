from __future__ import annotations

import pytest

from apps.runs import services
from apps.runs.models import Run, Status
from apps.runs.operations import waiting
from kos.errors import UserError
from tests.factories import make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def three() -> list[Run]:
    return [make_run("train", name=name) for name in "abc"]


def names(queue: str = "") -> str:
    return "".join(run.name for run in waiting.waiting(queue))


def test_the_oldest_starts_first(three):
    assert names("gpu") == "abc"


def test_a_higher_priority_starts_first(three):
    waiting.prioritise(three[2], 1)
    assert names() == "cab"


def test_each_queue_has_its_own_order(three):
    make_run("base", name="d")
    assert (names("cpu"), names("gpu"), names("serve")) == ("d", "abc", "")


def test_what_is_at_work_or_over_or_a_pipeline_does_not_wait(db):
    for kind, status in [("train", "running"), ("train", "done"), ("pipeline", "queued")]:
        make_run(kind, status=status)
    assert waiting.waiting() == []


def test_a_lost_run_waits_in_its_place(three):
    Run.objects.filter(name="b").update(status=Status.LOST)
    assert names() == "abc"


@pytest.mark.parametrize(
    ("name", "where", "order"),
    [
        ("c", "up", "acb"),
        ("a", "down", "bac"),
        ("c", "first", "cab"),
        ("a", "up", "abc"),
        ("c", "down", "abc"),
        ("a", "first", "abc"),
    ],
)
def test_a_run_moves_one_place_or_to_the_front(three, name, where, order):
    waiting.move(Run.objects.get(name=name), where)
    assert names() == order


def test_who_comes_later_stays_behind_one_that_moved_down(three):
    waiting.move(three[0], "down")
    make_run("train", name="d")
    assert names() == "bacd"


def test_moves_keep_the_order_that_priorities_gave(three):
    waiting.prioritise(three[1], 5)
    waiting.move(three[2], "up")
    assert names() == "bca"
    waiting.move(three[0], "first")
    assert names() == "abc"


def test_a_run_of_another_queue_is_not_passed(three):
    other = make_run("base", name="d")
    waiting.move(other, "up")
    assert Run.objects.get(pk=other.pk).priority == 0


def test_a_run_that_started_meanwhile_does_not_move(three):
    services.claim(three[0].pk, "w", lease_seconds=60)
    with pytest.raises(UserError, match="a does not wait any more"):
        waiting.move(three[0], "down")
    with pytest.raises(UserError, match="does not wait any more"):
        waiting.prioritise(three[0], 3)


def test_a_priority_out_of_range_is_refused(three):
    with pytest.raises(UserError, match="-1000 to 1000 would do"):
        waiting.prioritise(three[0], 9999)


def test_the_bell_of_one_run_brings_the_first_of_its_queue(three):
    waiting.prioritise(three[1], 1)
    claimed = [waiting.claim_for(run.pk, "w", lease_seconds=60) for run in three]
    assert [run.name for run in claimed if run] == ["b", "a", "c"]


def test_a_bell_with_nobody_waiting_brings_nothing(three):
    Run.objects.update(status=Status.DONE)
    assert waiting.claim_for(three[0].pk, "w", lease_seconds=60) is None
    assert waiting.claim_for(0, "w", lease_seconds=60) is None


def test_a_run_that_another_took_first_is_passed_over(three, monkeypatch):
    claim = services.claim

    def beaten_once(pk, worker, **kept):
        monkeypatch.setattr(services, "claim", claim)
        claim(pk, "quicker", **kept)
        return claim(pk, worker, **kept)

    monkeypatch.setattr(services, "claim", beaten_once)
    assert waiting.claim_first("gpu", "w", lease_seconds=60).name == "b"
    assert Run.objects.get(name="a").worker == "quicker"
