"""Groups of rollouts: sampled, graded, rewarded, compared with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from kos.chat.parse import split_thinking
from kos.data.prompts import conversation
from kos.data.rubrics import RubricTask
from kos.engine.base import Datum, Sampled
from kos.events import ItemGrade, RolloutDone
from kos.grading.score import grade, unit_score
from kos.rl.advantages import are_equal, centre
from kos.rl.rewards import Reward


class Coder(Protocol):
    """Between text and tokens; ``kos.engine.models.Chat`` is one."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids`` without the tokens that end an answer."""

    def count(self, text: str) -> int:
        """Length of ``text`` in tokens."""


@dataclass(frozen=True)
class Rollout:
    """One answer. ``score`` and ``reward`` are None when it could not be graded."""

    sampled: Sampled
    raw: str
    answer: str
    thinking: str
    flags: tuple[str, ...]
    num_answer_tokens: int
    items: tuple[ItemGrade, ...]
    score: float | None
    components: dict[str, float]
    advantage: float | None = None

    @property
    def num_tokens(self) -> int:
        """All that was generated, the ending token included."""
        return len(self.sampled.tokens)

    @property
    def reward(self) -> float | None:
        """The sum of its components."""
        return sum(self.components.values()) if self.components else None


@dataclass(frozen=True)
class Group:
    """All rollouts of one prompt in one step."""

    task: RubricTask
    prompt: tuple[int, ...]
    rollouts: tuple[Rollout, ...]

    @property
    def graded(self) -> tuple[Rollout, ...]:
        """Those that take part: an ungraded answer is no bad answer."""
        return tuple(rollout for rollout in self.rollouts if rollout.reward is not None)

    @property
    def is_equal(self) -> bool:
        """Whether no rollout was better than another, so that there is nothing to learn."""
        rewards = [rollout.reward for rollout in self.graded if rollout.reward is not None]
        return len(rewards) < 2 or are_equal(rewards)

    def data(self) -> list[Datum]:
        """What the engine learns from, one datum a graded rollout."""
        return [
            Datum.of_answer(
                self.prompt,
                rollout.sampled.tokens,
                advantage=rollout.advantage or 0.0,
                logprobs=rollout.sampled.logprobs,
            )
            for rollout in self.graded
        ]


def assess(
    task: RubricTask, sampled: Sampled, reward: Reward, coder: Coder, *, progress: float
) -> Rollout:
    """Grade one answer and reward it. ``progress`` in [0, 1] is how far the training is."""
    raw = coder.decode(sampled.tokens)
    parsed = split_thinking(raw)
    items = grade(task, parsed.answer)
    score = unit_score(items)
    num_answer_tokens = coder.count(parsed.answer)
    parts = (
        {}
        if score is None
        else reward.parts(score, len(sampled.tokens), num_answer_tokens, progress)
    )
    return Rollout(
        sampled=sampled,
        raw=raw,
        answer=parsed.answer,
        thinking=parsed.thinking,
        flags=parsed.flags,
        num_answer_tokens=num_answer_tokens,
        items=items,
        score=score,
        components=parts,
    )


def compare(task: RubricTask, prompt: Sequence[int], rollouts: Sequence[Rollout]) -> Group:
    """A group with its advantages set; ungraded rollouts have none."""
    rewards = [rollout.reward for rollout in rollouts if rollout.reward is not None]
    advantages = iter(centre(rewards) if rewards else [])
    return Group(
        task,
        tuple(prompt),
        tuple(
            rollout if rollout.reward is None else replace(rollout, advantage=next(advantages))
            for rollout in rollouts
        ),
    )


def split_substeps(groups: Sequence[Group], num_substeps: int) -> list[list[Group]]:
    """Contiguous runs of whole groups, as equal as can be; never an empty one."""
    count = min(num_substeps, len(groups))
    bounds = [len(groups) * number // count for number in range(count + 1)] if count else []
    return [list(groups[a:b]) for a, b in pairwise(bounds)]


def event(
    group: Group, number: int, rollout: Rollout, *, step: int, system_prompt: str
) -> RolloutDone:
    """What the console keeps of a rollout, the ``number``-th of its group."""
    return RolloutDone(
        model="policy",
        example_id=group.task.id,
        sample=number,
        messages=tuple(conversation(group.task, system_prompt)),
        answer=rollout.answer,
        thinking=rollout.thinking,
        raw=rollout.raw,
        num_tokens=rollout.num_tokens,
        num_answer_tokens=rollout.num_answer_tokens,
        stop_reason=rollout.sampled.stop_reason,
        items=rollout.items,
        score=rollout.score,
        step=step,
        reward=rollout.reward,
        advantage=rollout.advantage,
        components=rollout.components,
        flags=rollout.flags,
    )
