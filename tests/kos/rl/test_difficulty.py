from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from kos.config import Measure
from kos.config.base import Lora, Sampling
from kos.data.rubrics import RubricItem, RubricTask, Turn, Verifier
from kos.engine.base import Engine, Sampled, SamplingParams
from kos.errors import CancelledError, UserError
from kos.events import LocalJob, Note, Saved
from kos.rl import difficulty
from kos.rl.difficulty import guessable, histogram, measure, measure_prompts, read_difficulty

GUESS = Measure().guess_prompt
TINY = Measure(
    samples=3,
    guesses=2,
    guess_tokens=6,
    threshold=1,
    prompts_at_once=2,
    sampling=Sampling(max_tokens=12),
    lora=Lora(rank=4, alpha=4),
)


@dataclass
class Stub:
    """An engine that answers what ``says`` makes of the question and a random number."""

    says: Callable[[str, float], str]
    texts: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def chat(self) -> Stub:
        return self

    def encode(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        self.asked.append(messages[-1]["content"])
        return [len(self.asked) - 1]

    def decode(self, ids: Sequence[int]) -> str:
        return self.texts[ids[0]]

    def sample(
        self, prompts: Sequence[Sequence[int]], params: SamplingParams, **kwargs: Any
    ) -> list[list[Sampled]]:
        chance = random.Random(params.seed)
        return [
            [self._answer(self.asked[prompt], chance) for _ in range(kwargs["num_samples"])]
            for [prompt] in prompts
        ]

    def _answer(self, question: str, chance: random.Random) -> Sampled:
        self.texts.append(self.says(question, chance.random()))
        return Sampled((len(self.texts) - 1,), (0.0,), "stop")


def ask(task: RubricTask, says: Callable[[str, float], str], folder: Path, **knobs: Any):
    config, job = Measure(**knobs), LocalJob(folder)
    [found] = measure_prompts(config, job, cast(Engine, Stub(says)), [task], seed=1)
    return found


def task_of(**fields: Any) -> RubricTask:
    return RubricTask(
        id="sum", messages=(Turn(role="user", content="What is 2 + 2?"),),
        **{"verifier": Verifier(kind="numeric", answer="4"), **fields},
    )  # fmt: skip


def test_the_pass_rate_is_within_the_interval_of_a_model_of_known_skill(tmp_path):
    skill, samples = 0.3, 256
    found = ask(
        task_of(), lambda _, chance: "4" if chance < skill else "5", tmp_path, samples=samples
    )
    assert found.graded == samples
    # Four standard errors: a right estimate fails once in 16,000 seeds.
    assert abs(found.passed / samples - skill) < 4 * math.sqrt(skill * (1 - skill) / samples)


def test_a_score_of_the_threshold_itself_passes(tmp_path):
    assert ask(task_of(), lambda *_: "4", tmp_path, samples=3, threshold=1).passed == 3


@pytest.mark.parametrize(("luck", "right"), [(0.0, 0), (1.0, 8)])
def test_guesses_are_asked_without_thinking_and_counted(tmp_path, luck, right):
    def says(question: str, chance: float) -> str:
        return "4" if question.endswith(GUESS) and chance < luck else "Let me think: 5"

    found = ask(task_of(), says, tmp_path, samples=2, guesses=8)
    assert (found.passed, found.guesses, found.guessed) == (0, 8, right)


def test_a_guess_that_thinks_and_is_cut_has_no_answer_to_be_right(tmp_path):
    found = ask(task_of(), lambda *_: "<think>2 + 2 is 4", tmp_path, samples=1)
    assert (found.passed, found.guessed) == (0, 0)


def test_what_only_a_judge_can_decide_is_not_guessed_at(tmp_path):
    item = RubricItem(key="kind", text="Is kind.", points=-1)
    found = ask(task_of(rubric=(item,)), lambda *_: "4", tmp_path, samples=2)
    assert (found.graded, found.guesses) == (0, 0)


@pytest.mark.parametrize(("drops", "left_out"), [(True, {"b"}), (False, set())])
def test_training_leaves_out_a_prompt_of_which_one_guess_was_right(tmp_path, drops, left_out):
    path = tmp_path / difficulty.FILE
    made = difficulty.Difficulty(
        pass_rates={"a": 0.5, "b": 1.0}, guessed={"a": 0, "b": 1}, samples=2, threshold=0.5,
        drops_guessed=drops,
    )  # fmt: skip
    path.write_text(made.model_dump_json())
    assert read_difficulty(path) == {"a": 0.5, "b": 1.0}
    assert guessable(path) == left_out


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "report.json"
    path.write_text('{"models": []}')
    with pytest.raises(UserError, match=r"report\.json holds no pass rates"):
        read_difficulty(path)


def test_the_histogram_keeps_never_and_always_apart():
    rates = dict(enumerate([0, 0.1, 0.25, 0.5, 0.6, 0.9, 1, 1]))
    assert [*histogram({str(name): rate for name, rate in rates.items()}).values()] == [
        1, 2, 1, 1, 1, 2,
    ]  # fmt: skip


def run(folder: Path, policy: Path, dataset: Path, **kwargs: Any) -> LocalJob:
    folder.mkdir(exist_ok=True)
    job = LocalJob(folder, {"base": policy, "dataset": dataset}, seed=7, **kwargs)
    measure(TINY, job)
    return job


def test_a_measured_set_has_a_rate_for_every_prompt(policy, dataset, tmp_path):
    job = run(tmp_path, policy, dataset)
    rates = read_difficulty(tmp_path / difficulty.FILE)
    assert len(rates) == 6
    assert {round(3 * rate) for rate in rates.values()} <= {0, 1, 2, 3}
    [saved] = [event for event in job.events if isinstance(event, Saved)]
    assert saved.artifact == "difficulty"
    assert sum(saved.summary["histogram"].values()) == saved.summary["prompts"] == 6
    assert saved.summary["guess_tested"] == 6


def test_a_job_that_was_stopped_ends_with_the_file_of_one_that_was_not(policy, dataset, tmp_path):
    run(tmp_path / "whole", policy, dataset)

    def stop(event: object) -> None:
        if getattr(event, "step", 0) == 2:
            raise CancelledError

    with pytest.raises(CancelledError):
        run(tmp_path / "cut", policy, dataset, on_event=stop)
    rounds = sorted((tmp_path / "cut" / "checkpoint").glob("round-*"))
    assert len(rounds) == 2
    before = [path.stat().st_mtime_ns for path in rounds]
    run(tmp_path / "cut", policy, dataset)
    assert [path.stat().st_mtime_ns for path in rounds] == before
    whole, cut = (tmp_path / name / difficulty.FILE for name in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()


def test_a_set_that_nobody_can_grade_is_refused(policy, tmp_path):
    item = RubricItem(key="rude", text="Is rude.", points=-1)
    path = tmp_path / "tasks.jsonl"
    path.write_text(task_of(rubric=(item,), verifier=None).model_dump_json() + "\n")
    with pytest.raises(UserError, match="none of the 1 prompts could be graded"):
        run(tmp_path / "run", policy, path)


def test_prompts_without_a_grade_are_counted_aloud(tmp_path):
    job = LocalJob(tmp_path, {"base": tmp_path})
    rows = [
        difficulty.PromptDifficulty(id="a", graded=2, passed=1),
        difficulty.PromptDifficulty(id="b", graded=0, passed=0),
    ]
    difficulty._keep(Measure(), job, rows)
    assert read_difficulty(tmp_path / difficulty.FILE) == {"a": 0.5}
    notes = [event.text for event in job.events if isinstance(event, Note)]
    assert notes == ["No answer to 1 of 2 prompts could be graded: no pass rate."]
