"""An evaluation of two models over a handful of prompts, graded."""

from __future__ import annotations

from typing import Any

import pytest

from apps.runs.models import Run
from apps.traces import services
from kos.data.rubrics import RubricItem, RubricTask, Turn
from kos.events import ItemGrade, RolloutDone, to_json
from tests.factories import make_run, make_version

POINTS = (7, 5, 10, -6)


def make_task(name: str, **fields: Any) -> RubricTask:
    rubric = tuple(
        RubricItem(key=f"k{n}", text=f"Criterion {n}.", points=points, tags=("axis:accuracy",))
        for n, points in enumerate(POINTS)
    )
    fields = {"use_case": "consult", "split": "test"} | fields
    return RubricTask(
        id=name, messages=(Turn(role="user", content=f"Ask {name}?"),), rubric=rubric, **fields
    )


def make_rollout(model: str, name: str, met: str, **fields: Any) -> dict[str, Any]:
    """``met`` is a letter an item: y, n or ? for ungraded."""
    items = tuple(
        ItemGrade(
            f"k{n}",
            f"Criterion {n}.",
            POINTS[n],
            {"y": True, "n": False}.get(word),
            "judge:t@1",
            f"Because {n}.",
        )
        for n, word in enumerate(met)
    )
    known = all(item.met is not None for item in items)
    fields = {"sample": 0, "answer": f"{model} says {met}.", "error": "", "flags": ()} | fields
    return to_json(
        RolloutDone(
            model=model,
            example_id=name,
            messages=({"role": "user", "content": f"Ask {name}?"},),
            thinking="",
            raw="",
            num_tokens=9,
            num_answer_tokens=4,
            stop_reason="stop",
            items=items,
            score=sum(i.points for i in items if i.met) / 22 if known else None,
            **fields,
        )
    )


@pytest.fixture
def run(db: None) -> Run:
    """a: 0.5 for base, 1.0 for trained; b: 12/22 and 1.0; c is a writing task, -6/22 and 7/22."""
    tasks = [make_task("a"), make_task("b"), make_task("c", use_case="writing")]
    run = make_run("evaluate", status="done", dataset=make_version(*tasks), name="Toy evaluation")
    rows = [
        make_rollout("base", "a", "ynyy", flags=("truncated",)),
        make_rollout("base", "b", "yynn"),
        make_rollout("base", "c", "nnny"),
        make_rollout("trained", "a", "yyyn"),
        make_rollout("trained", "b", "yyyn"),
        make_rollout("trained", "c", "ynnn"),
    ]
    services.record(run, 1, rows, origin="evaluation")
    return run
