"""What a run did when."""

from __future__ import annotations

from datetime import timedelta

from django.urls import reverse

from apps.runs import services
from apps.runs.models import Event, Run, Status
from apps.runs.page import timeline
from tests.factories import make_artifact, make_run, make_version


def say(run, kind, seconds, **data):
    run.last_seq += 1
    at = run.created + timedelta(seconds=seconds)
    Event.objects.create(run=run, seq=run.last_seq, attempt=1, kind=kind, data=data, at=at)


def lived(**fields) -> Run:
    run = make_run("train", status="done", attempt=2, **fields)
    say(run, "status", 0, status="queued", error="")
    say(run, "status", 10, status="running", attempt=1, worker="a")
    say(run, "progress", 12, stage="sample", done=1, total=2)
    say(run, "progress", 40, stage="sample", done=2, total=2)
    say(run, "checkpoint", 50, step=3)
    say(run, "lost", 70, attempt=1, worker="a", reason="its lease ran out")
    say(run, "status", 70, status="lost", error="silent")
    say(run, "status", 90, status="running", attempt=2, worker="b")
    say(run, "status", 190, status="done", error="")
    Run.objects.filter(pk=run.pk).update(ended=run.created + timedelta(seconds=190))
    run.refresh_from_db()
    return run


def test_waits_attempts_and_phases_have_their_lengths(db):
    spans = [(one.row, one.text, one.length) for one in timeline._stretches(lived())]
    assert spans == [
        ("Queued", "waited for a worker", "10 s"),
        ("Working", "attempt 1 on a", "1 min"),
        ("Queued", "waited for a worker", "20 s"),
        ("Working", "attempt 2 on b", "2 min"),
        ("Sample", "sample, attempt 1", "28 s"),
    ]


def test_checkpoints_and_losses_are_moments(db):
    assert [mark.look for mark in timeline._marks(lived())] == ["checkpoint", "lost"]


def test_the_picture_is_to_scale(db):
    run = lived()
    drawn = timeline.draw(timeline._stretches(run), timeline._marks(run))
    inner = timeline.WIDTH - timeline.LABEL_WIDTH - 10
    assert drawn.bars[0].x == timeline.LABEL_WIDTH
    assert drawn.bars[3].width == round(inner * 100 / 190, 1)


def test_the_page_draws_and_tabulates(engineer):
    page = engineer.get(reverse("runs:timeline", args=[lived().pk])).content.decode()
    assert page.count("<rect") == 5
    assert "attempt 2 on b" in page


def test_a_run_without_events_says_what_will_come(engineer):
    page = engineer.get(reverse("runs:timeline", args=[make_run().pk])).content.decode()
    assert "Nothing happened yet" in page


def test_a_pipeline_shows_its_stages(engineer):
    given = {"inputs": {"base": make_artifact()}, "dataset": make_version()}
    pipeline = services.launch(engineer.user, "pipeline", {}, **given)
    held = services.claim(pipeline.stages.get().pk, "w", lease_seconds=60)
    services.finish(held.pk, held.attempt, Status.FAILED, error="no room")
    page = engineer.get(reverse("runs:timeline", args=[pipeline.pk])).content.decode()
    assert "Warm start" in page
    assert 'class="bad"' in page


def test_the_timeline_is_for_engineers(stranger, clinician):
    path = reverse("runs:timeline", args=[make_run().pk])
    assert "/sign-in/" in stranger.get(path).headers["Location"]
    assert clinician.get(path).status_code == 403
