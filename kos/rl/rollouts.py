"""Groups of rollouts: sampled, graded, rewarded, compared with each other.

A rollout is what the policy said to a prompt, as the segments it was drawn in. A plain answer
has one; one that went over several iterations (partial rollouts) has one an iteration; one with
tools has one a generation. Groups are plain data, so that a checkpoint can keep those that wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, Protocol

from kos.chat.parse import split_thinking
from kos.data.prompts import conversation
from kos.data.rubrics import RubricTask
from kos.engine.base import Datum
from kos.evals.asked import message_of
from kos.events import ItemGrade, RolloutDone
from kos.grading.score import unit_score
from kos.harness.record import plain
from kos.messages import Source, ToolRecord, TurnRecord
from kos.rl.advantages import are_equal
from kos.rl.losses.base import Loss
from kos.rl.rewards.base import Outcome, Situation, Stage, rewarded, total

OldSegments = Literal["mask", "correct"]


class Coder(Protocol):
    """Between text and tokens; ``kos.engine.models.Chat`` is one."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids`` without the tokens that end an answer."""

    def count(self, text: str) -> int:
        """Length of ``text`` in tokens."""


@dataclass(frozen=True)
class Segment:
    """Tokens drawn in one go from one policy, ``version`` of it.

    ``read`` is what the policy read before them: nothing after the prompt or in the middle of an
    answer, what a tool brought between two generations. ``is_new`` says that ``read`` is a whole
    prompt and what came before is not in it.
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    version: int = 0
    read: tuple[int, ...] = ()
    is_new: bool = False


@dataclass(frozen=True)
class Rollout:
    """One answer. ``score`` and ``reward`` are None when it could not be graded.

    ``messages``, ``turns``, ``tools`` and ``sources`` are the harness's records of an answer with
    tools; empty without.
    """

    segments: tuple[Segment, ...]
    stop_reason: str
    raw: str
    answer: str
    thinking: str
    flags: tuple[str, ...]
    num_answer_tokens: int
    items: tuple[ItemGrade, ...] = ()
    score: float | None = None
    components: dict[str, float] | None = None
    advantage: float | None = None
    error: str = ""
    messages: tuple[dict[str, str], ...] = ()
    turns: tuple[TurnRecord, ...] = ()
    tools: tuple[ToolRecord, ...] = ()
    sources: tuple[Source, ...] = ()

    @property
    def num_tokens(self) -> int:
        """All that was generated, the ending token included."""
        return sum(len(segment.tokens) for segment in self.segments)

    @property
    def reward(self) -> float | None:
        """The sum of its components."""
        return total(self.components) if self.components else None

    def versions(self, old_segments: OldSegments = "mask") -> set[int]:
        """The policies whose words enter the loss: its newest alone, or all of them."""
        known = {segment.version for segment in self.segments}
        return {max(known)} if known and old_segments == "mask" else known

    def version(self, old_segments: OldSegments = "mask") -> int:
        """The oldest policy that it is learnt from."""
        return min(self.versions(old_segments), default=0)

    def data(self, prompt: Sequence[int], old_segments: OldSegments = "mask") -> list[Datum]:
        """What the engine learns from: one datum a run of segments that read on.

        Nobody's words but the policy's enter the loss, and of those not what an older policy
        said unless ``old_segments`` asks for it.
        """
        return [
            Datum.of_turns(
                [(read, segment.tokens) for read, segment in thread],
                advantage=self.advantage or 0.0,
                logprobs=[segment.logprobs for _, segment in thread],
            )
            for thread in self._threads(prompt, self.versions(old_segments))
        ]

    def _threads(self, prompt: Sequence[int], learnt: set[int]) -> Iterator[Thread]:
        """Runs of what is read and the segment that is said to it; old ones are read, too."""
        thread: Thread = []
        read = tuple(prompt)
        for segment in self.segments:
            if segment.is_new:
                if thread:
                    yield thread
                thread, read = [], ()
            read += segment.read
            if segment.version in learnt:
                thread.append((read, segment))
                read = ()
            else:
                read += segment.tokens
        if thread:
            yield thread


# What is read, then what is said to it.
Thread = list[tuple[tuple[int, ...], Segment]]


@dataclass(frozen=True)
class Group:
    """All rollouts of one prompt. ``temperature`` is that at which they were sampled.

    ``begun`` is the iteration in which the prompt was picked, ``numbers`` what the reward stages
    tell of the group, ``first_sample`` the number of its first rollout among the step's of its
    prompt.
    """

    task: RubricTask
    prompt: tuple[int, ...]
    rollouts: tuple[Rollout, ...]
    temperature: float = 1.0
    begun: int = 0
    numbers: dict[str, float] | None = None
    first_sample: int = 0

    @property
    def graded(self) -> tuple[Rollout, ...]:
        """Those that take part: an ungraded answer is no bad answer."""
        return tuple(rollout for rollout in self.rollouts if rollout.reward is not None)

    @property
    def rewards(self) -> list[float]:
        """What the graded ones earned."""
        return [rollout.reward for rollout in self.graded if rollout.reward is not None]

    @property
    def num_tokens(self) -> int:
        """All that was generated for it."""
        return sum(rollout.num_tokens for rollout in self.rollouts)

    @property
    def is_equal(self) -> bool:
        """Whether no rollout was better than another, so that there is nothing to learn."""
        return len(self.rewards) < 2 or are_equal(self.rewards)

    def data(self, old_segments: OldSegments = "mask") -> list[Datum]:
        """What the engine learns from, those of a rollout in a row."""
        return [
            datum for rollout in self.graded for datum in rollout.data(self.prompt, old_segments)
        ]


def read(segments: Sequence[Segment], stop_reason: str, coder: Coder) -> Rollout:
    """What a plain answer says; ungraded."""
    raw = coder.decode([token for segment in segments for token in segment.tokens])
    parsed = split_thinking(raw)
    return Rollout(
        segments=tuple(segments),
        stop_reason=stop_reason,
        raw=raw,
        answer=parsed.answer,
        thinking=parsed.thinking,
        flags=parsed.flags,
        num_answer_tokens=coder.count(parsed.answer),
    )


def graded(rollout: Rollout, items: Sequence[ItemGrade]) -> Rollout:
    """The rollout with its verdicts; one without a verdict on every item has no score."""
    return replace(rollout, items=tuple(items), score=unit_score(items))


def reward(
    rollouts: Sequence[Rollout], stages: Sequence[Stage], situations: Sequence[Situation]
) -> list[Rollout]:
    """The group with its components; an ungraded rollout keeps none."""
    known = [rollout for rollout in rollouts if rollout.score is not None]
    outcomes = iter(rewarded([outcome_of(one) for one in known], stages, situations))
    rewarded_rollouts = []
    for rollout in rollouts:
        found = None if rollout.score is None else next(outcomes)
        parts = None if found is None else dict(found.parts)
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
        stop_reason=rollout.stop_reason,
        flags=rollout.flags,
        sources=rollout.sources,
        parts=rollout.components or {},
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
    """What the console keeps of the ``number``-th rollout of a group."""
    told = [message_of(turn) for turn in conversation(group.task, system_prompt)]
    messages = rollout.messages or tuple(plain(message) for message in told)
    return RolloutDone(
        model="policy",
        example_id=group.task.id,
        sample=group.first_sample + number,
        messages=messages,
        answer=rollout.answer,
        thinking=rollout.thinking,
        raw=rollout.raw,
        num_tokens=rollout.num_tokens,
        num_answer_tokens=rollout.num_answer_tokens,
        stop_reason=rollout.stop_reason,
        items=rollout.items,
        score=rollout.score,
        step=step,
        reward=rollout.reward,
        advantage=rollout.advantage,
        components=rollout.components or {},
        flags=rollout.flags,
        error=rollout.error,
        turns=rollout.turns,
        tools=rollout.tools,
        sources=rollout.sources,
        versions={"policy": str(rollout.version())},
    )
