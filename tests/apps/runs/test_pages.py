"""What pages are made of: charts, lines, bars and lineage."""

from __future__ import annotations

from apps.runs import charts, lineage, lines, progress
from apps.runs.models import Event, RunInput
from apps.runs.views import flatten
from tests.factories import make_artifact, make_run


def say(run, seq: int, kind: str, data: dict[str, object]) -> Event:
    return Event.objects.create(run=run, seq=seq, attempt=1, kind=kind, data=data, at=run.created)


def step(run, seq: int, number: int, **metrics: float) -> Event:
    return say(run, seq, "step", {"step": number, "metrics": metrics})


def test_a_step_done_again_counts_once(db):
    run = make_run("train")
    step(run, 1, 1, reward=0.1)
    step(run, 2, 2, reward=0.2)
    step(run, 3, 2, reward=0.3, loss=1.0)
    found = charts.series(run)
    assert found["steps"] == [1, 2]
    assert found["series"] == {"reward": [0.1, 0.3], "loss": [None, 1.0]}
    assert found["last_seq"] == 3


def test_the_table_has_the_newest_step_first(db):
    run = make_run("train")
    step(run, 1, 1, reward=0.1)
    step(run, 2, 2, reward=0.2)
    assert [row["step"] for row in charts.table(run)["rows"]] == [2, 1]


def test_a_status_line_says_who_and_why(db):
    data = {"status": "running", "attempt": 2, "worker": "gpu@here", "error": ""}
    line = lines.line_of(say(make_run(), 1, "status", data))
    assert (line.level, line.text) == ("mark", "running, attempt 2 on gpu@here")


def test_an_event_nobody_wrote_a_line_for_still_shows(db):
    assert lines.line_of(say(make_run(), 1, "new", {"x": 1})).text == "x 1"


def test_rollouts_and_progress_stay_out_of_the_log(db):
    run = make_run()
    say(run, 1, "rollout", {})
    say(run, 2, "note", {"text": "kept"})
    assert [line.text for line in lines.tail(run)] == ["kept"]


def test_older_lines_come_in_pages(db):
    run = make_run()
    for seq in range(1, 6):
        say(run, seq, "note", {"text": str(seq)})
    assert [line.text for line in lines.before(run, 4, limit=2)] == ["2", "3"]


def test_a_run_is_as_far_as_its_unfinished_part(db):
    done = {"done": 3, "total": 3, "unit": "shards"}
    run = make_run(progress={"loading": done, "steps": {"done": 1, "total": 4, "unit": "steps"}})
    assert progress.overall(run).percent == 25


def test_a_run_without_numbers_is_at_zero(db):
    assert progress.overall(make_run()).percent == 0
    assert progress.overall(make_run(status="done")).percent == 100


def test_nested_results_become_rows():
    found = flatten({"train": {"reward_gain": 0.25}, "names": ["a", "b"]})
    assert found == {"train / reward gain": "0.25", "names": "a, b"}


def test_ancestors_are_what_the_model_was_made_from(db):
    base = make_artifact("base")
    run = make_run("train", status="done")
    RunInput.objects.create(run=run, name="base", artifact=base)
    adapter = make_artifact("adapter", run=run)
    assert lineage.ancestors(adapter) == [base, adapter]


def test_descendants_are_who_used_the_model_and_what_came_of_it(db):
    base = make_artifact("base")
    run = make_run("train", status="done")
    RunInput.objects.create(run=run, name="base", artifact=base)
    adapter = make_artifact("adapter", run=run)
    node = lineage.descendants(base)[0]
    assert node.run == run
    assert [below.artifact for below in node.below] == [adapter]


def test_training_counts_steps_whatever_happens_within_one(db):
    sample = {"done": 1, "total": 32, "unit": "answers"}
    run = make_run("train", progress={"sample": sample, "train": {**sample, "unit": "steps"}})
    assert progress.overall(run).stage == "train"


def test_an_evaluation_is_done_when_all_its_models_were_asked(db):
    run = make_run("evaluate", progress={"base": {"done": 9, "total": 9, "unit": "prompts"}})
    for name in ("base", "trained"):
        RunInput.objects.create(run=run, name=name, artifact=make_artifact())
    assert progress.overall(run).percent == 50


def test_bytes_are_shown_in_the_size_they_have():
    assert progress.Bar("merge", 1024**2, 2 * 1024**2, "bytes").text == "1.0\xa0MB of 2.0\xa0MB"
    assert progress.Bar("train", 3, 30, "steps").text == "3 of 30 steps"
    assert progress.Bar("load", 0, 1).text == ""


def test_an_artifact_is_offered_one_button_a_job(db):
    kinds = [kind for kind, _name, _verb in lineage.next_steps(make_artifact("adapter"))]
    assert len(kinds) == len(set(kinds))
    assert {"train", "average", "merge", "export", "survival"} <= set(kinds)


def test_a_quantised_model_shows_its_plan_as_a_table(client, db):
    row = {"kind": "mlp.up_proj", "layers": "0-3", "num_tensors": 4, "bytes_before": 8}
    row |= {"bytes_after": 2, "quantised": True, "why": ""}
    made = make_artifact("quantised", summary={"plan": [row], "survival": {"all": {"slope": 1}}})
    client.force_login(made.run.owner)
    page = client.get(f"/models/{made.pk}/").content.decode()
    assert "Which tensor fell where" in page
    assert f"/runs/{made.run_id}/survival/" in page
    assert "survival / all" not in page
