"""The evaluation job on a policy of 0.2M random parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from kos.config import Evaluate, Sampling
from kos.data.rubrics import RubricTask, Turn
from kos.errors import CancelledError, UserError
from kos.evals import run
from kos.evals.asked import messages_of
from kos.events import Event, LocalJob, Progress, RolloutDone, Saved
from tests.kos.engine import tiny

CONFIG = Evaluate(samples=2, sampling=Sampling(max_tokens=8))


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.setattr(run, "this_machine", lambda: tiny.MACHINE.use())
    base = tiny.make_policy(tmp_path / "base")
    tasks = [
        RubricTask.model_validate(task.model_dump() | {"split": "test"})
        for task in tiny.make_tasks(3)
    ]
    dataset = tiny.write_tasks(tmp_path / "tasks.jsonl", tasks)
    return {"base": base, "trained": base, "dataset": dataset}


def evaluate(folder: Path, inputs: dict[str, Path], on_event: object = None) -> LocalJob:
    folder.mkdir(exist_ok=True)
    job = LocalJob(folder, inputs, seed=3, on_event=on_event)  # type: ignore[arg-type]
    run.evaluate(CONFIG, job)
    return job


def answers(job: LocalJob) -> list[RolloutDone]:
    return [event for event in job.events if isinstance(event, RolloutDone)]


def test_every_model_answers_every_prompt_and_a_report_is_kept(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    job = evaluate(tmp_path / "job", inputs)
    asked = [(answer.model, answer.example_id, answer.sample) for answer in answers(job)]
    assert len(set(asked)) == len(asked) == 2 * 3 * 2
    saved = next(event for event in job.events if isinstance(event, Saved))
    assert [row["model"] for row in saved.summary["models"]] == ["base", "trained"]


def test_a_stopped_evaluation_goes_on_to_the_report_of_an_unbroken_one(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "trained":
            raise CancelledError

    with pytest.raises(CancelledError):
        evaluate(tmp_path / "broken", inputs, stop)
    resumed = evaluate(tmp_path / "broken", inputs)
    # Of the finished model only the answer that was told last is told again.
    assert [answer.model for answer in answers(resumed)].count("base") == 1
    evaluate(tmp_path / "whole", inputs)
    reports = [(tmp_path / name / "report" / "report.json") for name in ("broken", "whole")]
    assert reports[0].read_text() == reports[1].read_text()


def test_a_prompt_with_its_own_system_message_is_asked_as_in_training() -> None:
    own = (Turn(role="system", content="Be brief."), Turn(role="user", content="Why?"))
    task = tiny.make_tasks(1)[0].model_copy(update={"messages": own})
    assert [message["role"] for message in messages_of(CONFIG, task)] == ["system", "user"]


def test_without_a_model_there_is_nothing_to_evaluate(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    with pytest.raises(UserError, match="no model to evaluate"):
        evaluate(tmp_path / "job", {"dataset": inputs["dataset"]})
