"""From an answer to its rubric items' verdicts, and from those to a score.

Source of the scoring rule: HealthBench (arXiv:2505.08775), sec. 4; openai/simple-evals.
"""

from __future__ import annotations

from collections.abc import Sequence

from kos.data.rubrics import RubricItem, RubricTask
from kos.events import ItemGrade
from kos.grading.rules import holds
from kos.grading.screening import covers
from kos.grading.verify import verify


def grade(task: RubricTask, answer: str) -> tuple[ItemGrade, ...]:
    """Every item's verdict on the visible ``answer``, by the embedded graders.

    A task with a verifier has one item more, worth a point, for the right final answer.
    """
    items = [_grade_item(item, answer) for item in task.rubric]
    if task.verifier is not None:
        met = verify(task.verifier, answer)
        items.append(ItemGrade("verifier", "Gives the right final answer.", 1, met, "verifier"))
    return tuple(items)


def _grade_item(item: RubricItem, answer: str) -> ItemGrade:
    if item.check is not None:
        return _verdict(item, holds(item.check, answer), "check")
    if item.checkpoint is not None:
        # Decided by what the agent did in its environment, of which an answer says nothing.
        return _verdict(item, None, "checkpoint")
    if item.points > 0:
        return _verdict(item, covers(item.text, answer), "screening")
    # Naming a fault is not committing it, so words alone cannot grade a negative item.
    return _verdict(item, None, "screening")


def _verdict(item: RubricItem, met: bool | None, grader: str) -> ItemGrade:
    return ItemGrade(item.key, item.text, item.points, met, grader, tags=item.tags)


def raw_score(items: Sequence[ItemGrade]) -> float | None:
    """Points of the met items over the positive points there are; may be below 0.

    None when an item is ungraded or only screened, or when no item has positive points.
    """
    if any(item.met is None or item.grader == "screening" for item in items):
        return None
    return _share(items)


def screening_score(items: Sequence[ItemGrade]) -> float | None:
    """The same share over the graded items alone: a screening, not a score."""
    return _share([item for item in items if item.met is not None])


def _share(items: Sequence[ItemGrade]) -> float | None:
    possible = sum(item.points for item in items if item.points > 0)
    return sum(item.points for item in items if item.met) / possible if possible else None


def unit_score(items: Sequence[ItemGrade]) -> float | None:
    """``raw_score`` clipped to [0, 1]: the reward r that the quality gate reads."""
    score = raw_score(items)
    return None if score is None else clip_unit(score)


def clip_unit(value: float) -> float:
    """``value`` held within [0, 1]."""
    return min(1.0, max(0.0, value))
