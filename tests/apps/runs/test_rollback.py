from __future__ import annotations

import pytest
from django.urls import reverse
from pydantic import ValidationError

from apps.runs import rollback
from apps.runs.figures import metrics
from apps.runs.models import Event, Run, RunInput
from apps.runs.page import lines
from kos.config import Train
from kos.errors import UserError
from tests.factories import make_artifact, make_run, make_user, make_version


@pytest.fixture
def broken(db) -> Run:
    """A failed training of 50 steps that kept its states after 10 and 20."""
    config = Train(steps=50).model_dump(mode="json")
    run = make_run("train", status="failed", config=config, seed=7, dataset=make_version())
    RunInput.objects.create(run=run, name="base", artifact=make_artifact())
    keep(run, 10, 20)
    return run


def keep(run: Run, *steps: int) -> None:
    folder = run.folder / "checkpoint"
    folder.mkdir(parents=True)
    (folder / "machine.json").write_text("{}")
    for step in steps:
        (folder / f"state-{step}.pt").write_text(f"state {step}")


def test_the_kept_steps_are_there_to_choose_newest_first(broken):
    assert rollback.kept_steps(broken) == [20, 10]
    assert rollback.kept_steps(make_run("train")) == []


def test_the_nearest_kept_step_is_not_after_the_trouble(broken):
    assert rollback.nearest(broken, 19) == 10
    assert rollback.nearest(broken, 5) is None


def test_a_new_run_gets_the_state_as_its_own_checkpoint(broken):
    made = rollback.roll_back(broken, 10, make_user())
    folder = made.folder / "checkpoint"
    assert (folder / "state.pt").read_text() == "state 10"
    assert (folder / "machine.json").exists()


def test_the_new_run_is_the_old_ones_twin_and_the_old_one_stays(broken):
    made = rollback.roll_back(broken, 20, make_user())
    broken.refresh_from_db()
    assert (made.config, made.seed, made.dataset) == (broken.config, 7, broken.dataset)
    assert made.inputs.get().artifact == broken.inputs.get().artifact
    assert (made.status, broken.status) == ("queued", "failed")
    assert rollback.kept_steps(broken) == [20, 10]


def test_a_knob_can_change_on_the_way(broken):
    made = rollback.roll_back(broken, 10, make_user(), {"adam": {"learning_rate": 1e-6}})
    assert made.config["adam"]["learning_rate"] == 1e-6
    assert made.config["adam"]["beta2"] == broken.config["adam"]["beta2"]


def test_what_the_state_was_made_of_cannot_change(broken):
    with pytest.raises(UserError, match="lora cannot change"):
        rollback.roll_back(broken, 10, make_user(), {"lora": {"rank": 4}})


def test_a_wrong_knob_makes_no_run(broken):
    with pytest.raises(ValidationError):
        rollback.roll_back(broken, 10, make_user(), {"adam": {"learning_rate": -1}})
    assert Run.objects.filter(kind="train").count() == 1


def test_a_step_that_was_not_kept_names_those_that_were(broken):
    with pytest.raises(UserError, match="no state of step 15; there are: 20, 10"):
        rollback.roll_back(broken, 15, make_user())


def test_there_is_nothing_after_the_last_step(broken):
    with pytest.raises(UserError, match="nothing to go on with"):
        rollback.roll_back(broken, 20, make_user(), {"steps": 20})


def test_both_runs_know_of_each_other(broken):
    made = rollback.roll_back(broken, 10, make_user())
    assert rollback.origin_of(made) == (broken, 10)
    assert rollback.descendants(broken) == [(made, 10)]
    assert rollback.origin_of(broken) is None


def test_the_new_runs_log_begins_with_where_it_comes_from(broken):
    made = rollback.roll_back(broken, 10, make_user())
    event = Event.objects.get(run=made, kind="rolled_back")
    said = f"rolled back from {broken.name} (run {broken.pk}) at step 10"
    assert lines.line_of(event).text == said


def test_the_button_starts_the_new_run(engineer, broken):
    data = {"step": "10", "learning_rate": "1e-6", "clip_norm": "1"}
    answer = engineer.post(reverse("runs:roll_back", args=[broken.pk]), data)
    made = Run.objects.latest("pk")
    assert answer.headers["Location"] == reverse("runs:detail", args=[made.pk])
    assert made.config["adam"] | {"learning_rate": 1e-6, "clip_norm": 1} == made.config["adam"]
    page = engineer.get(reverse("runs:detail", args=[made.pk])).content.decode()
    assert "Rolled back from" in page


@pytest.mark.parametrize(
    "data", [{"step": "15"}, {"step": "x"}, {"step": "10", "clip_norm": "-1"}]
)
def test_a_wrong_wish_starts_nothing(engineer, broken, data):
    answer = engineer.post(reverse("runs:roll_back", args=[broken.pk]), data)
    assert answer.headers["Location"] == reverse("runs:diagnosis", args=[broken.pk])
    assert Run.objects.filter(kind="train").count() == 1


def test_going_back_is_for_engineers_by_post(engineer, reviewer, stranger, broken):
    path = reverse("runs:roll_back", args=[broken.pk])
    assert engineer.get(path).status_code == 405
    assert reviewer.post(path, {"step": "10"}).status_code == 403
    assert "/sign-in/" in stranger.post(path).headers["Location"]


def test_a_program_goes_back_too(api, broken):
    path = f"/api/runs/{broken.pk}/roll-back"
    answer = api("post", path, {"step": 20, "config": {"adam": {"clip_norm": 1}}})
    assert answer.status_code == 201, answer.json()
    assert answer.json()["config"]["adam"]["clip_norm"] == 1
    wrong = api("post", path, {"step": 20, "config": {"adam": {"clip_norm": -1}}})
    assert wrong.status_code == 422
    assert api("post", path, {"step": 15}).status_code == 409


def test_a_program_reads_the_diagnosis(api, broken):
    metrics.record(broken, 1, {"ungraded": 0.5}, broken.created)
    found = api("get", f"/api/runs/{broken.pk}/diagnosis").json()
    assert [one["level"] for one in found] == ["bad"]
    assert "50 % of the answers have no grade" in found[0]["sentence"]
