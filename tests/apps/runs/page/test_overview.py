"""One run at a glance."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.runs import services
from apps.runs.figures import metrics
from apps.runs.models import Event, Run
from apps.runs.page import flow, overview
from kos.rl.costs import Prices
from tests.factories import make_artifact, make_run, make_version


def say(run, seq, kind, **data):
    Event.objects.create(run=run, seq=seq, attempt=1, kind=kind, data=data, at=run.created)
    Run.objects.filter(pk=run.pk).update(last_seq=seq)


def quiet(seconds: float) -> Run:
    run = make_run("train", status="running", worker="gpu@here", attempt=1)
    Run.objects.filter(pk=run.pk).update(touched=timezone.now() - timedelta(seconds=seconds))
    run.refresh_from_db()
    return run


def page_of(client, run) -> str:
    return client.get(reverse("runs:detail", args=[run.pk])).content.decode()


def test_silence_is_worth_a_word_after_twenty_seconds(engineer):
    assert overview.silence(quiet(10)) is None
    assert "last heard 3" in page_of(engineer, quiet(32))
    assert "worker silent for 3 min" in page_of(engineer, quiet(180))


def test_an_error_says_its_cause_what_is_safe_and_where_it_began(engineer):
    run = make_run("train", status="failed", error="CUDA out of memory\nmore", attempt=1)
    say(run, 1, "checkpoint", step=40)
    say(run, 2, "failed", error="CUDA out of memory", traceback="Traceback: x")
    page = page_of(engineer, run)
    assert "CUDA out of memory" in page
    assert "Resume after step 40" in page
    assert f"{reverse('runs:log', args=[run.pk])}?at=2#line-2" in page
    assert "Copy report" in page


def test_the_cause_of_a_traceback_is_its_last_line(db):
    run = make_run(error="Traceback (most recent call last):\n  File x\nValueError: no")
    assert overview.trouble(run).cause == "ValueError: no"


def test_a_waiting_run_says_its_place(engineer):
    services.launch(engineer.user, "base", {})
    second = services.launch(engineer.user, "base", {})
    assert "2nd in the queue" in page_of(engineer, second)


def test_the_facts_lead_to_what_they_name(db):
    run = make_run("train", dataset=make_version(), seed=7)
    facts = {fact.label: fact for fact in overview.facts(run)}
    assert facts["Seed"].value == "7"
    assert facts["Dataset"].url == reverse("datasets:detail", args=[run.dataset_id])


def test_a_cost_is_told_where_prices_are_known(db):
    run = make_run("train")
    metrics.record(run, 1, {"tokens/sampled": 2_000_000.0}, run.created)
    prices = Prices(prefill=0, cached=0, sampled=3, trained=0, source="typed")
    assert overview.cost(run, prices) == pytest.approx(6)
    assert overview.cost(run, None) is None


def test_a_stop_says_what_stays(engineer):
    run = quiet(0)
    Run.objects.filter(pk=run.pk).update(started=run.created)
    say(run, 1, "checkpoint", step=12)
    page = engineer.post(reverse("runs:stop", args=[run.pk]), follow=True).content.decode()
    assert "Resume goes on after step 12" in page


@pytest.fixture
def pipeline(engineer) -> Run:
    given = {"inputs": {"base": make_artifact()}, "dataset": make_version()}
    return services.launch(engineer.user, "pipeline", {}, **given)


def test_a_pipeline_is_drawn_with_what_waits_for_what(pipeline):
    drawn = flow.picture(pipeline)
    columns = {}
    for box in drawn.boxes:
        columns.setdefault(box.x, []).append(box.name)
    assert [*columns.values()] == [
        ["sft"],
        ["train"],
        ["merge", "export"],
        ["evaluate", "deploy"],
    ]
    # Train, merge, export; then evaluate on both and deploy.
    assert len(drawn.edges) == 6


def test_the_stages_are_links_once_they_began(engineer, pipeline):
    page = page_of(engineer, pipeline)
    assert f'href="{reverse("runs:detail", args=[pipeline.stages.get().pk])}"' in page
    assert "Train: waiting" in page


@pytest.mark.parametrize(
    ("name", "data", "field", "value"),
    [
        ("rename", {"name": "new"}, "name", "new"),
        ("edit_notes", {"notes": "why"}, "notes", "why"),
        ("tags", {"add": "a, b"}, "tags", ["a", "b"]),
    ],
)
def test_names_notes_and_tags_are_edited_in_place(engineer, name, data, field, value):
    run = make_run()
    engineer.post(reverse(f"runs:{name}", args=[run.pk]), data)
    run.refresh_from_db()
    assert getattr(run, field) == value


def test_a_tag_is_taken_off_and_a_wrong_one_refused(engineer):
    run = make_run(tags=["a"])
    path = reverse("runs:tags", args=[run.pk])
    engineer.post(path, {"remove": "a"})
    page = engineer.post(path, {"add": "x" * 50}, follow=True).content.decode()
    run.refresh_from_db()
    assert run.tags == []
    assert "40 fit" in page


@pytest.mark.parametrize("name", ["rename", "edit_notes", "tags"])
def test_editing_takes_only_a_post_of_an_engineer(engineer, clinician, stranger, name):
    path = reverse(f"runs:{name}", args=[make_run().pk])
    assert engineer.get(path).status_code == 405
    assert clinician.post(path).status_code == 403
    assert "/sign-in/" in stranger.post(path).headers["Location"]


def test_notes_are_text_with_links_and_nothing_else(engineer):
    page = page_of(engineer, make_run(notes="<b>x</b> https://example.org"))
    assert "<b>x</b>" not in page
    assert 'href="https://example.org"' in page


def test_the_overview_costs_no_query_a_stage(engineer, pipeline, django_assert_max_num_queries):
    path = reverse("runs:detail", args=[pipeline.pk])
    with django_assert_max_num_queries(8):
        engineer.get(path, {"fragment": "head"}, headers={"HX-Request": "true"})
    with django_assert_max_num_queries(8):
        engineer.get(path, {"fragment": "stages"}, headers={"HX-Request": "true"})


def test_the_run_leads_to_its_lineage_and_to_its_trackers(engineer):
    run = make_run("train", status="done")
    say(run, 1, "tracker", name="wandb", text="has the numbers", url="https://wandb.test/r/1")
    say(run, 2, "tracker", name="mlflow", text="is wrong", url="javascript:alert(1)")
    page = page_of(engineer, run)
    assert f"{reverse('runs:lineage')}?run={run.pk}" in page
    assert 'href="https://wandb.test/r/1" rel="noopener noreferrer"' in page
    assert "javascript:" not in page


def test_a_pipeline_names_the_trackers_of_its_stages(db):
    whole = make_run("pipeline", status="running")
    stage = make_run("train", pipeline=whole, stage="train")
    say(stage, 1, "tracker", name="trackio", text="here", url="https://trackio.test/1")
    urls = {fact.label: fact.url for fact in overview.facts(whole)}
    assert urls["Tracker"] == "https://trackio.test/1"
