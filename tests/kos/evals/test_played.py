"""Tasks with an environment: a scripted model plays them through the harness."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kos.config import Evaluate, Sampling
from kos.data.rubrics import Checkpoint, Environment, RubricItem, RubricTask
from kos.errors import UserError
from kos.evals import asked, run
from kos.evals.answering import AtEndpoint
from kos.evals.asked import NEEDS_TOOLS, LocalModel, Place, message_of, told
from kos.evals.benchmarks.base import find
from kos.evals.sandbox.cases import CASES, task_of
from kos.evals.worlds import Chart, world_of
from kos.events import LocalJob, RolloutDone
from kos.serving.client import ScriptedClient

CHART = task_of(CASES[1], size=60_000, seed=1)
JUDGED = CHART.model_copy(
    update={
        "rubric": (
            *CHART.rubric,
            RubricItem(
                key="why",
                text="Explains the limit",
                points=1,
                checkpoint=Checkpoint(kind="llm_judge", ground_truth="eGFR below 30"),
            ),
        )
    }
)


def call(name: str, **arguments) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


STOP = call("fhir_medication_request_create", medication="metformin", dosage="0", status="stopped")
CONTROL = call("fhir_service_request_create", code="98979-8", display="eGFR", reason="in 3 months")
PLAY = (
    call("fhir_observation_search_labs"),
    call("fhir_medication_request_search_orders"),
    STOP,
    CONTROL,
    "I stopped metformin.\neGFR: 27",
)


def evaluate(tmp_path: Path, monkeypatch, task: RubricTask, turns, **fields) -> LocalJob:
    client = ScriptedClient(turns)
    monkeypatch.setattr(asked, "HttpClient", lambda *args, **options: client)
    at = AtEndpoint(dialect="hermes", in_flight=1, **fields)
    config = Evaluate(samples=1, sampling=Sampling(max_tokens=64), answering=at)
    path = tmp_path / "tasks.jsonl"
    path.write_text(task.model_dump_json() + "\n")
    (tmp_path / "job").mkdir(exist_ok=True)
    job = LocalJob(tmp_path / "job", {"dataset": path}, seed=3)
    run.evaluate(config, job)
    job.client = client
    return job


def answer_of(job: LocalJob) -> RolloutDone:
    return [event for event in job.events if isinstance(event, RolloutDone)][-1]


def test_a_task_is_played_with_its_own_tools_and_graded_by_the_record(tmp_path, monkeypatch):
    answer = answer_of(
        evaluate(
            tmp_path, monkeypatch, CHART, PLAY, observation_tokens=40_000, max_context=200_000
        )
    )
    assert {item.key: item.met for item in answer.items} == dict.fromkeys(
        ("c1", "c2", "c3", "c4"), True
    )
    assert answer.score == 1.0
    assert len(answer.tools[0].observation) > 60_000


def test_a_short_context_cuts_what_the_model_reads(tmp_path, monkeypatch):
    answer = answer_of(evaluate(tmp_path, monkeypatch, CHART, PLAY, observation_tokens=1000))
    assert len(answer.tools[0].observation) < 20_000


def test_a_report_of_played_tasks_has_regressions_and_the_benchmarks_numbers(
    tmp_path, monkeypatch
):
    task = next(task for task in find("physician_tasks").tasks() if "metformin" in task.id)
    evaluate(tmp_path, monkeypatch, task, PLAY, observation_tokens=40_000, max_context=200_000)
    report = json.loads((tmp_path / "job" / "report" / "report.json").read_text())
    assert report["benchmark"].startswith("Physicians' tasks")
    figures = {(row["name"], row["part"]): row["value"] for row in report["figures"]}
    assert figures["pass@1", "all"] == figures["pass@1", "chart 20k"] == 1.0
    assert figures["fails in form", "chart 20k"] == 0.0
    assert {rate["name"] for rate in report["regressions"]["served"]["rates"]} >= {"think_leak"}
    page = (tmp_path / "job" / "report" / "report.md").read_text()
    assert "## Regressions" in page and "| pass@1 | chart 20k | served | 1.000 |" in page


def test_a_resumed_run_keeps_the_verdicts_of_the_environment(tmp_path, monkeypatch):
    evaluate(tmp_path, monkeypatch, CHART, PLAY)
    (tmp_path / "job" / "checkpoint" / "served.graded.jsonl").unlink()
    job = evaluate(tmp_path, monkeypatch, CHART, ())
    assert job.client.prompts == []
    assert answer_of(job).score == 1.0


def test_a_judged_checkpoint_stays_open_without_a_judge(tmp_path, monkeypatch):
    answer = answer_of(evaluate(tmp_path, monkeypatch, JUDGED, PLAY))
    assert [item.met for item in answer.items] == [True] * 4 + [None]
    assert answer.score is None


def test_an_environment_that_is_not_here_fails_with_a_sentence(tmp_path, monkeypatch):
    task = CHART.model_copy(update={"environment": Environment(tools=("fhir_x",))})
    answer = answer_of(evaluate(tmp_path, monkeypatch, task, ()))
    assert "plays in an environment that is not on this machine (fhir_x)" in answer.error
    assert answer.score is None


@pytest.mark.parametrize(
    "data",
    [
        {"case": "nobody", "seed": 1, "size": 9},
        {"case": "thyroid", "seed": 1, "size": 10**9},
        {"case": "thyroid", "size": "much", "seed": 1},
    ],
)
def test_a_chart_that_cannot_be_made_is_refused(data):
    environment = Environment(data={"sandbox": "fhir", **data})
    with pytest.raises(UserError, match=r"sandbox has the cases|at most"):
        world_of(CHART.model_copy(update={"environment": environment}))


def test_two_answers_to_one_task_do_not_share_a_record():
    first, second = world_of(CHART), world_of(CHART)
    assert isinstance(first, Chart) and isinstance(second, Chart)
    first.store.create("ServiceRequest", {})
    assert second.store.created == []


def test_a_model_in_this_process_says_that_it_has_no_tools():
    model = LocalModel("base", Evaluate(), (CHART,), 0, None, None, 0)
    found = model._answer(Place(0, 0), {}, 9)
    assert found.error == NEEDS_TOOLS


def test_earlier_calls_reach_the_model_and_the_record_of_a_failure():
    task = next(t for t in find("tool_regressions").tasks() if t.id.endswith("turns-thanks"))
    turns = [message_of(turn.model_dump()) for turn in task.messages]
    assert turns[1].tool_calls[0].name == "search_icd"
    assert turns[2].tool_call_id == turns[1].tool_calls[0].id
    assert all(isinstance(v, str) for one in told(Evaluate(), task) for v in one.values())
