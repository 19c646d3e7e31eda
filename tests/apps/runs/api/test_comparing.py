"""Runs side by side over REST."""

from __future__ import annotations

import pytest

from apps.runs.figures import metrics
from kos.config import Train
from tests.factories import make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair():
    configs = [Train(substeps=number).model_dump(mode="json") for number in (2, 3)]
    runs = [make_run("train", name=f"with {one['substeps']}", config=one) for one in configs]
    for run, loss in zip(runs, (0.5, 0.25), strict=True):
        metrics.record(run, 1, {"loss": loss}, run.created)
    return runs


def path(*pks):
    return "/api/runs/compare?" + "&".join(f"ids={pk}" for pk in pks)


def test_what_differs_and_the_last_numbers_are_told(api, pair):
    found = api("get", path(pair[1].pk, pair[0].pk)).json()
    assert [run["name"] for run in found["runs"]] == ["with 3", "with 2"]
    assert {knob["path"]: knob["values"] for knob in found["knobs"]} == {"substeps": ["3", "2"]}
    assert found["metrics"] == [{"name": "loss", "values": [0.25, 0.5]}]
    assert "Last numbers" in [table["title"] for table in found["tables"]]


def test_every_knob_comes_when_it_is_asked_for(api, pair):
    found = api("get", path(*(run.pk for run in pair)) + "&all=true").json()
    assert len(found["knobs"]) > 50


def test_a_run_that_is_not_there_is_named(api, pair):
    answer = api("get", path(pair[0].pk, 999))
    assert (answer.status_code, "999" in answer.json()["detail"]) == (404, True)


@pytest.mark.parametrize("count", [1, 7])
def test_two_to_six_are_compared(api, count):
    assert api("get", path(*range(1, count + 1))).status_code == 422


def test_a_stranger_and_a_clinician_compare_nothing(stranger, clinician, pair):
    assert stranger.get(path(*(run.pk for run in pair))).status_code == 401
    assert clinician.get(path(*(run.pk for run in pair))).status_code in (401, 403)
