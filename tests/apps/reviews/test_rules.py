from __future__ import annotations

import pytest

from apps.reviews import rules, services
from apps.reviews.models import Queue
from apps.reviews.rules import Rule
from apps.traces.models import Grade
from apps.traces.services import raise_flags
from tests.apps.reviews.conftest import make_graded

pytestmark = pytest.mark.django_db


def taken(rule: Rule) -> set[int]:
    return {match.trace for match in rules.find(rule, seed=1)}


def test_flags_penalties_and_missing_verdicts_are_reasons() -> None:
    flagged = make_graded(True, flags=["empty"])
    ungraded = make_graded(None)
    penalised = make_graded(True, False, True)
    make_graded(True, True, False)
    assert taken(Rule(flags=("empty",))) == {flagged.pk}
    assert taken(Rule(flags=("any",))) == {flagged.pk}
    assert taken(Rule(ungraded=True)) == {ungraded.pk}
    assert taken(Rule(penalties=True)) == {penalised.pk}


def test_an_explanation_against_its_verdict_is_a_reason() -> None:
    trace = make_graded(True, points=(-4,))
    trace.grades.update(text="Fails to ask about allergies.", note="It asks about them.")
    make_graded(True, points=(-4,)).grades.update(text="Fails to ask.", note="It does not ask.")
    assert taken(Rule(polarity=True)) == {trace.pk}


def test_graders_who_differ_are_a_reason() -> None:
    trace = make_graded(True)
    Grade.objects.create(
        trace=trace, position=1, key="k0", text="t", points=5, met=False, grader="judge:other@1"
    )
    make_graded(True)
    assert taken(Rule(disagreement=True)) == {trace.pk}


def test_what_readers_flagged_is_a_reason_until_it_is_settled(clinician) -> None:
    trace = make_graded(origin="chat")
    raise_flags(trace, clinician.user, ["unsafe"])
    assert taken(Rule(reported=True)) == {trace.pk}
    trace.raised.update(settled=trace.created)
    assert taken(Rule(reported=True)) == set()


def test_the_scope_narrows_every_reason() -> None:
    low, high = make_graded(None, score=0.1), make_graded(None, score=0.9)
    assert taken(Rule(ungraded=True, score_to=0.5)) == {low.pk}
    assert taken(Rule(ungraded=True, run=high.run_id)) == {high.pk}


def test_benchmark_text_and_failures_are_never_reviewed() -> None:
    make_graded(None, is_restricted=True)
    make_graded(None, error="no room")
    assert taken(Rule(ungraded=True, random_percent=100)) == set()


def test_the_same_seed_draws_the_same_share() -> None:
    for _ in range(60):
        make_graded(True)
    first, again, other = (rules.find(Rule(random_percent=30), seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert 5 < len(first) < 35


def test_a_queue_is_filled_to_its_size_and_never_twice() -> None:
    for _ in range(5):
        make_graded(True)
    queue = Queue.objects.create(name="q", rule={"random_percent": 100}, size=3)
    assert [services.fill(queue), services.fill(queue)] == [3, 0]
    Queue.objects.update(size=4)
    queue.refresh_from_db()
    assert services.fill(queue) == 1


def test_a_preview_takes_nothing() -> None:
    make_graded(None)
    found = rules.preview(Rule(ungraded=True), size=10, seed=0)
    assert (found.num_scope, found.num_taken, found.reasons) == (1, 1, {"ungraded item": 1})
