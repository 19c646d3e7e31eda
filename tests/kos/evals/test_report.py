from __future__ import annotations

import pytest

from kos.data.rubrics import RubricItem, RubricTask, Turn
from kos.evals.report import build, to_markdown
from kos.evals.scores import prompt_means, slice_scores
from kos.events import ItemGrade, RolloutDone

ITEM = RubricItem(key="k", text="t", points=5)
TASKS = {
    name: RubricTask(
        id=name, messages=(Turn(role="user", content="q"),), rubric=(ITEM,), use_case=use_case
    )
    for name, use_case in (("a", "consult"), ("b", "writing"))
}


def answer(
    model: str, example: str, score: float | None, sample: int = 0, **more: object
) -> RolloutDone:
    fields = {
        "messages": (),
        "answer": "yes",
        "thinking": "",
        "raw": "yes",
        "num_tokens": 1,
        "num_answer_tokens": 1,
        "stop_reason": "stop",
        "items": (ItemGrade("k", "t", 5, score == 1.0, "check"),),
    }
    return RolloutDone(
        model=model,
        example_id=example,
        sample=sample,
        score=score,
        **(fields | more),  # type: ignore[arg-type]
    )


def test_the_mean_is_clipped_and_not_the_answers() -> None:
    scores = slice_scores(
        [answer("m", "a", 1.0), answer("m", "b", -2.0)], TASKS, mode="healthbench"
    )
    overall = next(score for score in scores if score.slice == "all")
    assert overall.value == 0.0
    assert overall.estimate is not None
    assert overall.estimate.mean == -0.5


def test_unit_mode_clips_each_answer() -> None:
    scores = slice_scores([answer("m", "a", 1.0), answer("m", "b", -2.0)], TASKS, mode="unit")
    assert scores[0].value == 0.5


def test_samples_of_a_prompt_are_averaged_and_ungraded_ones_left_out() -> None:
    answers = [answer("m", "a", 0.5), answer("m", "a", 0.7, 1), answer("m", "a", None, 2)]
    assert prompt_means(answers) == {"a": pytest.approx(0.6)}


def test_each_stage_is_compared_with_the_one_before_and_the_base() -> None:
    answers = [
        answer(model, example, score)
        for model, score in (("base", 0.2), ("warm_start", 0.4), ("trained", 0.5))
        for example in TASKS
    ]
    report = build("Report", answers, TASKS, mode="raw", samples=1, seed=0)
    pairs = [(row["baseline"], row["candidate"]) for row in report.comparisons]
    assert pairs == [("base", "warm_start"), ("warm_start", "trained"), ("base", "trained")]
    assert "| base to trained | +0.300 |" in to_markdown(report)


def test_screened_answers_stamp_the_report() -> None:
    screened = answer("base", "a", None, components={"screening": 0.5})
    report = build("Report", [screened], TASKS, mode="raw", samples=1, seed=0)
    assert report.stamp.startswith("Screening, not a score")
    assert (report.models[0]["mean"], report.models[0]["num_ungraded"]) == (0.5, 1)
