from __future__ import annotations

import json

from kos.data.rubrics import RubricItem, RubricTask, Turn
from kos.evals.report import build, to_markdown
from kos.events import ItemGrade, RolloutDone

ITEM = RubricItem(key="k", text="t", points=5)
TASKS = {
    name: RubricTask(
        id=name, messages=(Turn(role="user", content="q"),), rubric=(ITEM,), use_case=use_case
    )
    for name, use_case in (("a", "consult"), ("b", "writing"))
}


def made(score: float | None) -> tuple[ItemGrade, ...]:
    if score is None or score < 0:
        fault = ItemGrade("f", "t", score or -1, None if score is None else True, "check")
        return (ItemGrade("k", "t", 1, False, "check"), fault)
    return (
        ItemGrade("k", "t", score or 1, score > 0, "check"),
        ItemGrade("rest", "t", 1 - score or 1, score == 1, "check"),
    )


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
        "items": made(score),
    }
    return RolloutDone(
        model=model,
        example_id=example,
        sample=sample,
        score=score,
        **(fields | more),  # type: ignore[arg-type]
    )


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
    items = tuple(ItemGrade(key, "t", 5, key == "k", "screening") for key in ("k", "l"))
    screened = answer("base", "a", None, items=items)
    report = build("Report", [screened], TASKS, mode="raw", samples=1, seed=0)
    assert report.stamp.startswith("Screening, not a score")
    assert (report.models[0]["mean"], report.models[0]["num_ungraded"]) == (0.5, 1)


def test_every_model_has_its_run_page_in_the_report() -> None:
    answers = [answer(model, name, 1.0) for model in ("base", "trained") for name in TASKS]
    report = build("Report", answers, TASKS, mode="healthbench", samples=1, seed=0)
    assert [run["model"] for run in report.runs] == ["base", "trained"]
    first, second = (run["partitions"][0]["rows"][0] for run in report.runs)
    assert (first["delta"], second["delta"]["mean"]) == (None, 0.0)
    json.dumps(report.to_json())


def test_slices_of_the_report_are_the_prompts_that_fall_in_them() -> None:
    report = build(
        "Report",
        [answer("m", "a", 1.0), answer("m", "b", -2.0)],
        TASKS,
        mode="raw",
        samples=1,
        seed=0,
    )
    assert {row["slice"]: row["value"] for row in report.slices} == {
        "use case: consult": 1.0,
        "use case: writing": -2.0,
    }
