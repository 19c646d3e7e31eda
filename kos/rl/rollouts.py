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
from kos.rl.advantages import are_equal
from kos.rl.losses.base import Loss
from kos.rl.rewards.base import Outcome, Situation, Stage, rewarded


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


def assess(task: RubricTask, sampled: Sampled, coder: Coder) -> Rollout:
    """Grade one answer by its rules; what it earns is for ``reward`` to say."""
    raw = coder.decode(sampled.tokens)
    parsed = split_thinking(raw)
    items = grade(task, parsed.answer)
    return Rollout(
        sampled=sampled,
        raw=raw,
        answer=parsed.answer,
        thinking=parsed.thinking,
        flags=parsed.flags,
        num_answer_tokens=coder.count(parsed.answer),
        items=items,
        score=unit_score(items),
        components={},
    )


def reward(
    rollouts: Sequence[Rollout], stages: Sequence[Stage], situations: Sequence[Situation]
) -> list[Rollout]:
    """The group with its components; an ungraded rollout keeps none."""
    graded = [rollout for rollout in rollouts if rollout.score is not None]
    outcomes = iter(rewarded([outcome_of(one) for one in graded], stages, situations))
    rewarded_rollouts = []
    for rollout in rollouts:
        found = None if rollout.score is None else next(outcomes)
        parts = {} if found is None else dict(found.parts)
        rewarded_rollouts.append(replace(rollout, components=parts))
    return rewarded_rollouts


def outcome_of(rollout: Rollout) -> Outcome:
    """A graded rollout as rewards see it."""
    assert rollout.score is not None
    return Outcome(
        score=rollout.score,
        num_tokens=rollout.num_tokens,
        num_answer_tokens=rollout.num_answer_tokens,
        answer=rollout.answer,
        stop_reason=rollout.sampled.stop_reason,
        flags=rollout.flags,
    )


def compare(
    task: RubricTask, prompt: Sequence[int], rollouts: Sequence[Rollout], loss: Loss
) -> Group:
    """A group with the advantages that ``loss`` asks for; ungraded rollouts have none."""
    rewards = [rollout.reward for rollout in rollouts if rollout.reward is not None]
    advantages = iter(loss.advantages(rewards) if rewards else [])
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
