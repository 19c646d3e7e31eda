"""The evaluation job against servers: a scripted model and a scripted judge, stopped anywhere."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from kos.config import Evaluate, Sampling
from kos.data.rubrics import RubricItem, RubricTask
from kos.errors import CancelledError, UserError
from kos.evals import asked, run
from kos.evals.answering import AtEndpoint
from kos.events import LocalJob, RolloutDone
from kos.grading.cache import open_cache
from kos.grading.judge import CACHE, Judge
from kos.serving.client import ScriptedClient
from tests.kos.grading.judges import Scripted, met_if

NUM_PROMPTS, SAMPLES = 12, 3
CONFIG = Evaluate(
    samples=SAMPLES,
    sampling=Sampling(max_tokens=32),
    answering=AtEndpoint(in_flight=4),
    grader=Judge(in_flight=5),
)


class Server:
    """A model's server: counts what it is asked."""

    def __init__(self, error: UserError | None = None) -> None:
        self.asked: Counter[str] = Counter()
        self.error = error

    async def stream_chat(self, messages, **options):
        self.asked[messages[-1].content] += 1
        answer = f"Take colchicine, answer {self.asked.total()}."
        async for delta in ScriptedClient([self.error or answer]).stream_chat(
            messages, max_tokens=9, temperature=0
        ):
            yield delta


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rubric = (RubricItem(key="drug", text="Names a drug", points=4), FAULT)
    tasks = [
        RubricTask(
            id=f"p{n}",
            messages=[{"role": "user", "content": f"Question {n}"}],
            rubric=rubric,
            split="test",
        )
        for n in range(NUM_PROMPTS)
    ]
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(task.model_dump_json() + "\n" for task in tasks))
    return path


FAULT = RubricItem(key="fault", text="Invents a source", points=-2)


@pytest.fixture
def world(monkeypatch):
    """The scripted model and judge, in the places of the real ones."""
    server, judge = Server(), Scripted(met_if("Names a drug"), seconds=0.001)
    monkeypatch.setattr(asked, "HttpClient", lambda *args, **options: server)

    @asynccontextmanager
    async def open_judge(self, job):
        async with judge.client() as http:
            with open_cache(job.folder / CACHE) as cache:
                yield self.at_work(http, cache, job.seed)

    monkeypatch.setattr(Judge, "open", open_judge)
    return server, judge


def evaluate(folder: Path, dataset: Path, on_event=None) -> LocalJob:
    folder.mkdir(exist_ok=True)
    job = LocalJob(folder, {"dataset": dataset}, seed=3, on_event=on_event)
    run.evaluate(CONFIG, job)
    return job


def told(job: LocalJob) -> list[RolloutDone]:
    return [event for event in job.events if isinstance(event, RolloutDone)]


def test_a_served_model_is_graded_by_the_judge(tmp_path, dataset, world):
    answers = told(evaluate(tmp_path / "job", dataset))
    assert len(answers) == NUM_PROMPTS * SAMPLES
    assert {answer.score for answer in answers} == {1.0}
    assert {item.met for answer in answers for item in answer.items} == {True, False}
    assert answers[0].items[0].grader.startswith("judge:")


@pytest.mark.parametrize("number", [1, 2, 7, 20, 35, 36])
def test_a_stop_anywhere_loses_and_repeats_no_answer(tmp_path, dataset, world, number):
    server, judge = world
    seen = 0

    def stop(event) -> None:
        nonlocal seen
        seen += isinstance(event, RolloutDone)
        if seen == number:
            raise CancelledError

    with pytest.raises(CancelledError):
        evaluate(tmp_path / "job", dataset, stop)
    resumed = evaluate(tmp_path / "job", dataset)
    report = json.loads((tmp_path / "job" / "report" / "report.json").read_text())
    assert report["models"][0]["num_answers"] == NUM_PROMPTS * SAMPLES
    # What was in the making when the run stopped is asked anew; nothing that was whole.
    repeated = sum(server.asked.values()) - NUM_PROMPTS * SAMPLES
    assert 0 <= repeated <= CONFIG.answering.in_flight
    assert len(judge.asked) - 2 * NUM_PROMPTS * SAMPLES <= CONFIG.grader.in_flight + repeated * 2
    assert len(told(resumed)) <= NUM_PROMPTS * SAMPLES - number + 1


def test_a_line_that_was_cut_off_is_asked_again(tmp_path, dataset, world):
    evaluate(tmp_path / "job", dataset)
    for path in (tmp_path / "job" / "checkpoint").glob("*.jsonl"):
        path.write_bytes(path.read_bytes()[:-20])
    server, _ = world
    before = sum(server.asked.values())
    evaluate(tmp_path / "job", dataset)
    assert sum(server.asked.values()) == before + 1


def test_an_answer_that_fails_is_recorded_as_failed(tmp_path, dataset, world, monkeypatch):
    server, _ = world
    server.error = UserError("The server is gone.")
    monkeypatch.setattr(asked, "MAX_FAILURES", 1000)
    answers = told(evaluate(tmp_path / "job", dataset))
    assert {answer.error for answer in answers} == {"The server is gone."}
    assert {answer.score for answer in answers} == {None}


def test_a_server_that_is_gone_ends_the_run_with_a_sentence(tmp_path, dataset, world):
    world[0].error = UserError("The server is gone.")
    with pytest.raises(UserError, match="resume it when the server is well"):
        evaluate(tmp_path / "job", dataset)


def test_a_judge_that_refuses_the_key_ends_the_run(tmp_path, dataset, world):
    world[1].decide = lambda question: httpx.Response(401, text="no")
    with pytest.raises(UserError, match="refused"):
        evaluate(tmp_path / "job", dataset)
