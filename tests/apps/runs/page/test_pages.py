"""What pages are made of: charts, lines, bars and lineage."""

from __future__ import annotations

from apps.runs.figures import charts
from apps.runs.figures.metrics import record
from apps.runs.models import Event, RunInput
from apps.runs.page import lines, progress
from apps.runs.page.frame import flatten
from tests.factories import make_artifact, make_run


def say(run, seq: int, kind: str, data: dict[str, object]) -> Event:
    return Event.objects.create(run=run, seq=seq, attempt=1, kind=kind, data=data, at=run.created)


def step(run, seq: int, number: int, **metrics: float) -> Event:
    record(run, number, metrics, run.created)
    return say(run, seq, "step", {"step": number, "metrics": metrics})


def test_a_step_done_again_counts_once(db):
    run = make_run("train")
    step(run, 1, 1, reward=0.1)
    step(run, 2, 2, reward=0.2)
    step(run, 3, 2, reward=0.3, loss=1.0)
    found = charts.table(run)
    assert found["names"] == ["loss", "reward"]
    rows = [(row["step"], row["values"]) for row in found["rows"]]
    assert rows == [(2, ["1", "0.3"]), (1, ["–", "0.1"])]


def test_of_a_very_long_run_the_start_and_the_end_are_read(db, monkeypatch):
    monkeypatch.setattr(charts, "READ_FIRST", 2)
    monkeypatch.setattr(charts, "READ_LAST", 3)
    run = make_run("train")
    for number in range(1, 9):
        step(run, number, number, **{"tokens/sampled": 10.0})
    assert [one.number for one in charts.steps(run)] == [1, 2, 6, 7, 8]
    assert charts.summed(run)[0].metrics == {"tokens/sampled": 80.0}


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
