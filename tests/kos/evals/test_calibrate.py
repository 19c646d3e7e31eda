from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest

from kos.config import Calibrate
from kos.data.labels import LabelledAnswer
from kos.errors import CancelledError, UserError
from kos.evals import calibrate as module
from kos.evals.calibrate import calibrate, drawn, read_verdicts
from kos.events import LocalJob, Progress, Result, Saved
from kos.grading import endpoint
from kos.grading.judge import Judge
from tests.kos.grading.judges import Scripted, items_in, met_if


def label(number: int, criterion: str, *met: bool, answer: str = "", **fields) -> LabelledAnswer:
    return LabelledAnswer(
        id=f"row-{number}",
        prompt_id=f"p{number}",
        messages=({"role": "user", "content": "Gout?"},),
        answer=answer or f"Answer {number}.",
        criterion=criterion,
        met=met,
        by=tuple(f"d{place}" for place in range(len(met))),
        **fields,
    )


ROWS = [
    label(1, "Names a drug", True, True, False, category="a"),
    label(2, "Gives a dose", True, False, category="a"),
    label(3, "Names a drug", False, category="b"),
]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(endpoint, "_pause", lambda attempt, told: 0)


def run(tmp_path: Path, monkeypatch, server: Scripted, rows=ROWS, **config) -> LocalJob:
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    monkeypatch.setattr(module, "connect", lambda *args, **more: server.client())
    job = LocalJob(tmp_path, {"labels": path}, seed=1)
    calibrate(Calibrate(**{"draws": 100} | config), job)
    return job


def report_of(job: LocalJob) -> dict:
    return next(event for event in job.events if isinstance(event, Saved)).summary


def test_a_judge_is_held_against_labels(tmp_path, monkeypatch):
    job = run(tmp_path, monkeypatch, Scripted(met_if("Names a drug")))
    report = report_of(job)
    assert report["all"]["macro_f1"]["value"] == pytest.approx((4 / 7 + 2 / 5) / 2)
    assert [row["category"] for row in report["categories"]] == ["a", "b"]
    assert isinstance(job.events[-1], Result)
    assert [one.done for one in job.events if isinstance(one, Progress)] == [1, 2, 3]


def test_verdicts_are_kept_without_any_text(tmp_path, monkeypatch):
    job = run(tmp_path, monkeypatch, Scripted(met_if("Names a drug")))
    kept = read_verdicts(job.folder / "calibration")
    assert [row.met for row in kept] == [True, False, True]
    written = "".join(path.read_text() for path in (job.folder / "calibration").iterdir())
    assert "Names a drug" not in written
    assert "Answer" not in written


def test_so_many_requests_are_open_at_a_time(tmp_path, monkeypatch):
    server = Scripted(met_if(), seconds=0.01)
    rows = [label(n, "Names a drug", True) for n in range(12)]
    run(tmp_path, monkeypatch, server, rows, judge=Judge(in_flight=4))
    assert server.most_open == 4


def test_a_run_taken_up_again_asks_only_what_is_missing(tmp_path, monkeypatch):
    server = Scripted(met_if("Names a drug"))

    def stop(event):
        raise CancelledError

    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in ROWS))
    monkeypatch.setattr(module, "connect", lambda *args, **more: server.client())
    with pytest.raises(CancelledError):
        calibrate(
            Calibrate(judge=Judge(in_flight=1)),
            LocalJob(tmp_path, {"labels": path}, seed=1, on_event=stop),
        )
    num_before = len(server.asked)
    report = report_of(run(tmp_path, monkeypatch, server, judge=Judge(in_flight=1)))
    assert 1 <= num_before < 3
    assert len(server.asked) == 3
    assert report["usage"]["cached"] == num_before


def test_a_verdict_that_cannot_be_read_is_ungraded_not_unmet(tmp_path, monkeypatch):
    server = Scripted(lambda question: "perhaps")
    report = report_of(run(tmp_path, monkeypatch, server))
    assert (report["ungraded"]["rate"], report["all"]["n"]) == (1, 0)


def by_place(question: str) -> dict:
    """A judge that finds only what is listed first."""
    verdicts = [
        {"key": key, "explanation": "First.", "criteria_met": place == 0}
        for place, (key, _) in enumerate(items_in(question))
    ]
    return {"verdicts": verdicts} if verdicts[0]["key"] else verdicts[0]


def test_a_judge_that_goes_by_order_flips_when_the_order_is_turned(tmp_path, monkeypatch):
    one = [
        label(number, text, True, answer="The same answer.")
        for number, text in enumerate(("Names a drug", "Gives a dose", "Warns"))
    ]
    rows = [LabelledAnswer(**asdict(row) | {"prompt_id": "p"}) for row in one]
    server = Scripted(by_place)
    report = report_of(run(tmp_path, monkeypatch, server, rows, judge=Judge(asks="rubric")))
    assert len(server.asked) == 2
    assert (report["order"]["hits"], report["order"]["n"]) == (2, 3)
    assert report["all"]["n"] == 3


def test_what_it_read_and_wrote_has_its_price(tmp_path, monkeypatch):
    def priced(question: str) -> httpx.Response:
        text = json.dumps(met_if()(question))
        usage = {"prompt_tokens": 1_000, "completion_tokens": 100}
        body = {"choices": [{"message": {"content": text}}], "usage": usage}
        return httpx.Response(200, json=body)

    job = run(tmp_path, monkeypatch, Scripted(priced), prompt_price=2.0, completion_price=8.0)
    usage = report_of(job)["usage"]
    assert (usage["prompt_tokens"], usage["tokens"]) == (3_000, 300)
    # 3,000 tokens at $2 a million and 300 at $8.
    assert usage["cost"] == pytest.approx(0.006 + 0.0024)
    assert usage["cost_per_thousand"] == pytest.approx(2.8)


def test_an_explanation_that_says_the_opposite_is_counted(tmp_path, monkeypatch):
    rows = [label(1, "Fails to ask about allergies", True, points=-5.0)]
    reply = {"explanation": "It asks about allergies.", "criteria_met": True}
    report = report_of(run(tmp_path, monkeypatch, Scripted(lambda question: reply), rows))
    assert report["polarity"]["absences"] == report["polarity"]["absences"] | {"hits": 1, "n": 1}


def test_a_draw_keeps_the_share_of_each_category():
    rows = [label(n, "x", True, category="a" if n < 80 else "b") for n in range(100)]
    found = drawn(rows, 10, seed=3)
    assert [row.category for row in found].count("b") == 2
    assert found == drawn(rows, 10, seed=3) != drawn(rows, 10, seed=4)


def test_an_empty_label_set_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="empty"):
        run(tmp_path, monkeypatch, Scripted(met_if()), rows=[])
