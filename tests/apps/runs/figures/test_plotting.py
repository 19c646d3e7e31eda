"""The metrics tab: its sections, the data of its charts, pins and files."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from apps.runs.figures import charts, metrics, pinning
from apps.runs.figures.metrics import Done
from apps.runs.models import PinnedPanel, Run
from kos.config import Train
from tests.factories import make_run

HTMX = {"HX-Request": "true"}


@pytest.fixture
def run(db) -> Run:
    config = Train(sampling={"max_tokens": 900}).model_dump(mode="json")
    run = make_run("train", status="done", config=config, last_seq=7)
    told = {"reward/mean": 0.5, "loss": 1.25, "length/response": 400.0, "mine/own": 3.0}
    metrics.record_steps(run, [Done(step, told, run.created) for step in range(1, 51)])
    return run


def page(run: Run, name: str = "charts") -> str:
    return reverse(f"runs:{name}", args=[run.pk])


def test_every_metric_has_a_panel_in_a_section(engineer, run):
    groups = engineer.get(page(run)).context["groups"]
    drawn = {name for group in groups for panel in group.panels for name in panel.names}
    assert drawn >= {"reward/mean", "loss", "length/response", "mine/own"}
    assert groups[-1].title == "Other numbers"
    assert [panel.title for panel in groups[-1].panels] == ["Mine own"]


def test_the_config_draws_its_levels(engineer, run):
    text = engineer.get(page(run)).content.decode()
    assert "cut at 900" in text
    assert "full bonus to 4,000" in text


def test_words_narrow_the_charts_without_javascript(engineer, run):
    groups = engineer.get(page(run), {"q": "GRADIENT OWN"}).context["groups"]
    assert groups == []
    groups = engineer.get(page(run), {"q": "own mine"}).context["groups"]
    assert [panel.key for group in groups for panel in group.panels] == ["mine/own"]


def test_a_run_without_numbers_says_where_to_look(engineer):
    text = engineer.get(page(make_run("merge", status="done"))).content.decode()
    assert "No numbers" in text
    assert "Read the log" in text


def test_the_curves_asked_for_come_as_json(engineer, run):
    found = engineer.get(page(run, "metrics"), {"name": ["loss", "length/*", "none"]}).json()
    assert sorted(found["curves"]) == ["length/response", "loss"]
    assert found["curves"]["loss"]["steps"] == [*range(1, 51)]
    assert found["curves"]["loss"]["values"] == [1.25] * 50
    assert (found["curves"]["loss"]["count"], found["last_seq"]) == (50, 7)
    assert "mine/own" in found["names"]


def test_a_thinned_curve_says_how_much_there_is_and_its_means(engineer, run):
    asked = {"name": "loss", "points": "10"}
    curve = engineer.get(page(run, "metrics"), asked).json()["curves"]["loss"]
    assert (curve["count"], len(curve["steps"]) <= 12) == (50, True)
    assert set(curve["means"]) == {1.25}


def test_a_range_of_steps_can_be_asked_for(engineer, run):
    asked = {"name": "loss", "after": "10", "until": "12"}
    found = engineer.get(page(run, "metrics"), asked).json()
    assert found["curves"]["loss"]["steps"] == [11, 12]


def test_nonsense_in_the_address_is_passed_over(engineer, run):
    asked = {"name": "loss", "after": "x", "points": "²", "until": "9" * 40}
    assert engineer.get(page(run, "metrics"), asked).json()["curves"]["loss"]["count"] == 50
    many = {"name": [str(number) for number in range(300)]}
    assert engineer.get(page(run, "metrics"), many).status_code == 400


def test_a_pinned_panel_stands_on_the_overview_of_such_runs(engineer, run):
    answer = engineer.post(page(run, "pin_panel"), {"names": "mine/own"}, headers=HTMX)
    assert 'aria-pressed="true"' in answer.content.decode()
    other = make_run("train")
    assert "Mine own" in engineer.get(page(other, "detail")).content.decode()
    engineer.post(page(run, "pin_panel"), {"names": "mine/own"})
    assert "Mine own" not in engineer.get(page(other, "detail")).content.decode()


def test_a_pin_is_its_owners_alone(engineer, admin, run):
    engineer.post(page(run, "pin_panel"), {"names": "mine/own"})
    assert [panel.key for panel in pinning.pinned("train", engineer.user)] == ["mine/own"]
    assert pinning.pinned("train", admin.user) == []


def test_a_pin_needs_a_name_of_fitting_length(engineer, run):
    for names in ("", "x" * 401):
        assert engineer.post(page(run, "pin_panel"), {"names": names}).status_code == 400
    assert not PinnedPanel.objects.exists()


def test_what_is_on_the_overview_already_is_not_drawn_twice(engineer, run):
    key = charts.PANELS["train"][0].key
    engineer.post(page(run, "pin_panel"), {"names": key})
    keys = [panel.key for panel in pinning.overview(run, engineer.user)]
    assert keys.count(key) == 1


def test_all_numbers_can_be_taken_away_as_csv(engineer, run):
    answer = engineer.get(page(run, "download_metrics"))
    lines = b"".join(answer.streaming_content).decode().split("\r\n")
    assert lines[0] == "step,length/response,loss,mine/own,reward/mean"
    assert lines[1] == "1,400,1.25,3,0.5"
    assert len(lines) == 52
    assert f"run-{run.pk}-metrics.csv" in answer.headers["Content-Disposition"]


def test_some_of_them_can_be_taken_away_as_json(engineer, run):
    asked = {"format": "json", "name": "loss"}
    answer = engineer.get(page(run, "download_metrics"), asked)
    found = json.loads(b"".join(answer.streaming_content))
    assert found["metrics"] == ["loss"]
    assert found["steps"][49] == {"step": 50, "metrics": {"loss": 1.25}}


def test_a_long_file_comes_in_parts_without_a_gap(engineer, db, monkeypatch):
    run = make_run("train", status="done")
    monkeypatch.setattr("apps.runs.figures.plotting.STEPS_AT_ONCE", 7)
    metrics.record_steps(run, [Done(step, {"a": step}, run.created) for step in range(1, 31, 3)])
    answer = engineer.get(page(run, "download_metrics"))
    lines = b"".join(answer.streaming_content).decode().split()[1:]
    assert [line.split(",")[0] for line in lines] == [str(step) for step in range(1, 31, 3)]


def test_a_file_of_another_kind_is_refused(engineer, run):
    answer = engineer.get(page(run, "download_metrics"), {"format": "xlsx"})
    assert answer.status_code == 400


@pytest.mark.parametrize("name", ["charts", "metrics", "download_metrics"])
def test_the_numbers_are_for_engineers(name, engineer, clinician, reviewer, stranger, run):
    path = page(run, name)
    assert engineer.post(path).status_code == 405
    assert {clinician.get(path).status_code, reviewer.get(path).status_code} == {403}
    assert "/sign-in/" in stranger.get(path).headers["Location"]


def test_pinning_is_for_engineers_by_post(engineer, clinician, stranger, run):
    path = page(run, "pin_panel")
    assert engineer.get(path).status_code == 405
    assert clinician.post(path, {"names": "loss"}).status_code == 403
    assert "/sign-in/" in stranger.post(path).headers["Location"]


def test_a_run_that_is_not_there_is_not_found(engineer):
    path = reverse("runs:charts", args=[99999])
    assert engineer.get(path).status_code == 404


def test_the_page_asks_as_often_however_many_metrics(engineer, run, django_assert_max_num_queries):
    many = {f"mine/number_{number}": 1.0 for number in range(60)}
    metrics.record(run, 51, many, run.created)
    with django_assert_max_num_queries(30):
        engineer.get(page(run))
