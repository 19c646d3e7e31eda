"""From all prompts to the hard ones, as Kimi k1.5 was trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from kos.data.rubrics import RubricTask
from kos.rl.prompts.base import PROMPTS, PromptSampler, Record, pick, success
from kos.rl.schedules import progress_of

# The difficulty labels as a share of success, so that both ways of knowing can be compared.
LABELLED = {"typical": 0.75, "other": 0.5, "difficult": 0.25}


@PROMPTS.register
class Curriculum(PromptSampler):
    """Curriculum: a warm-up on all prompts, then on hard ones.

    "hard" goes on with the hard prompts alone; "easy_to_hard" begins with the easiest share and
    lets harder ones in until all are. Source: Kimi k1.5 (arXiv:2501.12599), sec. 2.3.4 and 3.5.
    """

    kind: Literal["curriculum"] = "curriculum"
    order: Literal["hard", "easy_to_hard"] = Field(
        "hard",
        description="hard: after the warm-up hard prompts alone, as in the ablation; easy_to_hard: "
        "after the warm-up the easiest first.",
    )
    warm_up: float = Field(0.3, ge=0, le=1, description="Share of the training on all prompts.")
    by: Literal["record", "labels"] = Field(
        "record",
        description="record: how the prompt went, before that its measured pass rate; labels: its "
        "level or its difficulty as written in the dataset. Each fills in for the other.",
    )
    hard_up_to: float = Field(
        0.5, ge=0, le=1, description="A prompt is hard up to this share of success."
    )
    recent: int = Field(4, ge=1, description="So many times it was asked are remembered.")
    first_share: float = Field(
        0.25, gt=0, le=1, description="easy_to_hard: the share of prompts it begins with."
    )

    def pick(
        self,
        tasks: Sequence[RubricTask],
        count: int,
        *,
        step: int,
        num_steps: int,
        seed: int,
        record: Record,
    ) -> list[int]:
        """All prompts while warming up, then those that ``order`` lets in; all if none are."""
        progress = progress_of(step, num_steps)
        if progress < self.warm_up:
            return pick(len(tasks), count, step=step, seed=seed)
        ease = [self._ease(task, record) for task in tasks]
        allowed = self._allowed(ease, progress) or range(len(tasks))
        return [allowed[place] for place in pick(len(allowed), count, step=step, seed=seed)]

    def _allowed(self, ease: Sequence[float], progress: float) -> list[int]:
        if self.order == "hard":
            return [place for place, share in enumerate(ease) if share <= self.hard_up_to]
        gone = (progress - self.warm_up) / (1 - self.warm_up) if self.warm_up < 1 else 1.0
        share = self.first_share + (1 - self.first_share) * gone
        easiest_first = sorted(range(len(ease)), key=lambda place: -ease[place])
        return sorted(easiest_first[: max(1, round(share * len(ease)))])

    def _ease(self, task: RubricTask, record: Record) -> float:
        known, labelled = success(task, record, recent=self.recent), _labelled(task)
        ways = (known, labelled) if self.by == "record" else (labelled, known)
        return next((share for share in ways if share is not None), LABELLED["other"])


def _labelled(task: RubricTask) -> float | None:
    if task.level is not None:
        return (5 - task.level) / 4
    return None if task.difficulty == "other" else LABELLED[task.difficulty]
