from __future__ import annotations

import pytest
from django.urls import reverse

from apps.traces.models import Grade
from tests.factories import make_run, make_trace


def grade(trace, position: int, points: float, *, met: bool | None) -> None:
    Grade.objects.create(
        trace=trace,
        position=position,
        key=f"k{position}",
        text=f"item {position}",
        points=points,
        met=met,
        grader="check",
    )


@pytest.fixture
def trace(db):
    trace = make_trace(flags=["truncated"], score=0.25, reward=0.4, step=3, thinking="hm")
    grade(trace, 0, 5, met=True)
    grade(trace, 1, 3, met=False)
    grade(trace, 2, -3, met=True)
    return trace


@pytest.fixture
def paths(trace) -> list[str]:
    return [
        reverse("traces:list"),
        reverse("traces:detail", args=[trace.pk]),
        reverse("traces:rollouts", args=[trace.run_id]),
    ]


def test_every_page_opens_for_engineers_and_reviewers(engineer, reviewer, paths):
    for path in paths:
        assert engineer.get(path).status_code == 200
        assert reviewer.get(path).status_code == 200


def test_no_page_opens_for_others(stranger, clinician, paths):
    for path in paths:
        assert "/sign-in/" in stranger.get(path).headers["Location"]
        assert clinician.get(path).status_code == 403


def test_traces_are_read_only(engineer, paths):
    assert {engineer.post(path).status_code for path in paths} == {405}


def test_a_trace_writes_its_score_out(reviewer, trace):
    page = reviewer.get(reverse("traces:detail", args=[trace.pk])).content.decode()
    assert "2 of 8 points = <b>0.250</b>" in page
    assert "✗ committed" in page


def test_benchmark_text_is_not_shown(reviewer):
    secret = make_trace(is_restricted=True, messages=[{"role": "user", "content": "secret"}])
    page = reviewer.get(reverse("traces:detail", args=[secret.pk])).content.decode()
    assert "secret" not in page
    assert "Benchmark text is never shown" in page


@pytest.mark.parametrize(
    ("query", "num"),
    [
        ({"flag": "truncated"}, 1),
        ({"flag": "any"}, 1),
        ({"flag": "empty"}, 0),
        ({"low": "0.3"}, 1),
        ({"low": "0.1", "high": "0.3"}, 1),
        ({"model": "nobody"}, 0),
        ({"run": "not a number"}, 2),
    ],
)
def test_the_list_is_filtered(reviewer, trace, query, num):
    make_trace(score=0.9)
    assert len(reviewer.get(reverse("traces:list"), query).context["page"]) == num


def test_rollouts_stand_in_groups_by_prompt(engineer, trace):
    beside = {"run": trace.run, "step": 3, "reward": 0.8}
    make_trace(**beside, example_id=trace.example_id, sample=1)
    make_trace(**beside, example_id="zebra")
    page = engineer.get(reverse("traces:rollouts", args=[trace.run_id]))
    groups = [*page.context["page"]]
    assert [len(group.traces) for group in groups] == [2, 1]
    assert groups[0].mean == pytest.approx(0.6)


def test_rollouts_open_at_the_newest_step(engineer, trace):
    make_trace(run=trace.run, step=4)
    path = reverse("traces:rollouts", args=[trace.run_id])
    assert engineer.get(path).context["step"] == 4
    assert engineer.get(path, {"step": 3}).context["step"] == 3
    assert engineer.get(path, {"step": 99}).context["step"] == 4


def test_a_run_without_rollouts_says_so(engineer):
    page = engineer.get(reverse("traces:rollouts", args=[make_run().pk]))
    assert b"No rollouts yet" in page.content
