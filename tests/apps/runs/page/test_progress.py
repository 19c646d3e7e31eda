"""How fast a run goes and when it will be done."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from apps.runs.page import progress
from kos.events import Progress
from tests.factories import make_run


def part(**fields):
    now = timezone.now()
    since = (now - timedelta(seconds=100)).isoformat()
    kept = {"done": 50, "total": 100, "unit": "steps", "attempt": 2, "from": 40}
    return kept | {"since": since, "at": now.isoformat()} | fields


def test_the_time_left_counts_this_start_alone():
    """Forty steps of the first attempt and ten since: ten took 100 s, so fifty take 500 s."""
    pace = progress.pace(part(), attempt=2)
    assert (round(pace.per_second, 3), round(pace.left_seconds)) == (0.1, 500)
    assert (pace.text, pace.left) == ("6.0 steps a minute", "about 8 min left")


def test_an_earlier_attempts_pace_is_no_pace_of_this_one():
    assert progress.pace(part(), attempt=3) is None


def test_there_is_no_pace_before_anything_was_done():
    assert progress.pace(part(**{"from": 50}), attempt=2) is None
    assert progress.pace({"done": 1, "total": 2}, attempt=1) is None


def test_a_new_attempt_counts_from_where_it_took_up(db):
    run = make_run("train", attempt=2, progress={"train": part(attempt=1)})
    seen = progress.seen(run, Progress("train", 50, 100, "steps"))
    assert (seen["from"], seen["attempt"]) == (50, 2)


def test_the_same_attempt_keeps_its_start(db):
    run = make_run("train", attempt=2, progress={"train": part()})
    assert progress.seen(run, Progress("train", 60, 100, "steps"))["from"] == 40


def test_another_total_is_other_work(db):
    run = make_run("train", attempt=2, progress={"train": part()})
    assert progress.seen(run, Progress("train", 60, 70, "steps"))["from"] == 60


def test_spans_are_as_exact_as_one_wants_to_know():
    spans = [progress.span(seconds) for seconds in (9, 59, 119, 3700, 90_000)]
    assert spans == ["9 s", "59 s", "2 min", "1 h 02 min", "1 d 1 h"]


def test_a_pipeline_says_the_pace_of_its_stage(db):
    kept = {"train": part() | {"status": "running", "run": 1}}
    run = make_run("pipeline", status="running", progress=kept)
    assert progress.present_stage(run).pace.left == "about 8 min left"
