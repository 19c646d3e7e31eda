"""Builders of graded answers, and rows in simple-evals' shape."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from kos.evals.scores import GradedAnswer
from kos.events import ItemGrade

THEMES = ("hedging", "context_seeking", "emergency_referrals", "global_health")
AXES = ("accuracy", "completeness", "communication_quality")


def make_items(pairs: Iterable[tuple[float, bool | None]], grader: str = "judge") -> Any:
    return tuple(
        ItemGrade(f"k{number}", f"criterion {number}", points, met, grader)
        for number, (points, met) in enumerate(pairs)
    )


def make_answer(prompt: str, *pairs: tuple[float, bool | None], **fields: Any) -> GradedAnswer:
    known = {"model": "m", "sample": 0, "chars": 100, "items": make_items(pairs)}
    return GradedAnswer(prompt_id=prompt, **(known | fields))


def make_scored(prompt: str, score: float, **fields: Any) -> GradedAnswer:
    """An answer whose share is ``score``: one item met, and one fault or one lost item."""
    if score < 0:
        return make_answer(prompt, (1, False), (score, True), **fields)
    return make_answer(prompt, (score or 1, score > 0), (1 - score or 1, score == 1), **fields)


def make_rows(num_prompts: int, samples: int = 1, seed: int = 0) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    rows = []
    for number in range(num_prompts):
        items = [_item(rng, number, place) for place in range(rng.randint(2, 12))]
        items[0]["points"] = 5
        tags = [f"theme:{rng.choice(THEMES)}"]
        rows += [
            {
                "prompt_id": f"p{number}",
                "example_tags": tags,
                "completion": "a" * rng.randint(0, 5000),
                "rubric_items": [item | {"criteria_met": rng.random() < 0.4} for item in items],
            }
            for _ in range(samples)
        ]
    return rows


def _item(rng: random.Random, number: int, place: int) -> dict[str, Any]:
    return {
        "criterion": f"criterion {number} {place}",
        "points": rng.choice([3, 5, 7, 10, -4, -6, -9]),
        "tags": ["level:example", f"axis:{rng.choice(AXES)}"],
    }
