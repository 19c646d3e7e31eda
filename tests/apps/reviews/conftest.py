"""A queue over graded answers, and two reviewers to work on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.accounts.models import Role, User
from apps.reviews import services
from apps.reviews.models import Item, Queue
from apps.reviews.services import Said
from apps.traces.models import Grade, Trace
from tests.factories import make_run, make_trace, make_user

# What only the grader knows: a blind page must not hold it.
SECRET = "the-graders-own-words"


def make_graded(
    *verdicts: bool | None, points: tuple[float, ...] = (5, 3, -4), **fields: Any
) -> Trace:
    """A trace with one grade a verdict."""
    trace = make_trace(
        **{"run": make_run("evaluate", status="done"), "origin": "evaluation"} | fields
    )
    Grade.objects.bulk_create(
        Grade(
            trace=trace,
            position=place,
            key=f"k{place}",
            text=f"Criterion {place}.",
            points=points[place],
            met=met,
            grader="judge:test@1",
            note=f"{SECRET} {place}",
            tags=[f"axis:{'accuracy' if place else 'safety'}"],
        )
        for place, met in enumerate(verdicts)
    )
    return trace


def make_queue(*traces: Trace, **fields: Any) -> Queue:
    """A queue that holds exactly these answers."""
    fields = {
        "name": f"queue of {len(traces)}",
        "rule": {"random_percent": 100},
        "repeat_percent": 0,
    } | fields
    queue = Queue.objects.create(**fields)
    Item.objects.bulk_create(
        Item(queue=queue, trace=trace, position=place) for place, trace in enumerate(traces, 1)
    )
    return queue


def say(trace: Trace, *words: str) -> dict[int, Said]:
    """Verdicts on a trace's grades in their order."""
    return {grade.pk: Said(word) for grade, word in zip(trace.grades.all(), words, strict=True)}


Reviewing = Callable[..., Any]


@pytest.fixture
def review(db: None) -> Reviewing:
    """Claim an item and hand in verdicts: ``review(item, user, "met", "not_met", "met")``."""

    def hand_in(item: Item, user: User, *words: str, **more: Any) -> Any:
        assert services.claim(item, user)
        return services.submit(item, user, say(item.trace, *words), **more)

    return hand_in


@pytest.fixture
def ann(db: None) -> User:
    return make_user("ann", Role.REVIEWER)


@pytest.fixture
def ben(db: None) -> User:
    return make_user("ben", Role.REVIEWER)
