"""Sampling for a training step: pick prompts, draw answers, grade, reward, compare.

What an earlier iteration left unfinished goes first. Everything random derives from (the run's
seed, step), and all else it goes by lies in ``Memory``: the same step of the same run gathers
the same, whenever it is taken up.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import NamedTuple, Protocol, runtime_checkable

from kos.config.training import Train
from kos.data.prompts import conversation
from kos.data.rubrics import RubricTask
from kos.engine.base import OnProgress, SamplingParams, derive
from kos.engine.models import Chat
from kos.events import Job, Progress
from kos.rl.judging import Judging
from kos.rl.memory import Batch, Memory
from kos.rl.partial import Draft, Drawn, Pending, begin, go_on
from kos.rl.policy import Policy
from kos.rl.rewards.base import Critic, Situation, Stage
from kos.rl.rollouts import Group, Rollout, compare, event, outcome_of, read, reward
from kos.rl.schedules import progress_of, temperature
from kos.rl.trajectories import Play, Theatre, places_with_tools


class Answered(NamedTuple):
    """All answers to one prompt, ungraded. ``begun`` is the iteration that picked it."""

    task: RubricTask
    prompt: tuple[int, ...]
    rollouts: Sequence[Rollout]
    temperature: float
    begun: int


@runtime_checkable
class Budgeting(Protocol):
    """A reward stage that bounds the answers themselves, as Kimi K2's budget does."""

    def max_tokens(self, task: RubricTask) -> int | None:
        """The longest answer ``task`` may get; None leaves it to the run's sampling."""


@dataclass
class Gathering:
    """Where batches come from. ``spent`` counts tokens and seconds since it was last emptied."""

    config: Train
    job: Job
    tasks: Sequence[RubricTask]
    chat: Chat
    policy: Policy
    judging: Judging
    theatre: Theatre | None
    critics: Sequence[Critic | None]
    memory: Memory
    spent: dict[str, float] = field(default_factory=dict)

    def gather(self, step: int) -> Batch:
        """The batch of training step ``step``; its rollouts are told to the job.

        A prompt is in the batch of the iteration in which the last of its answers ended.
        """
        self._numbers: Counter[str] = Counter()
        self._num_begun = 0
        waiting, self.memory.pending = self.memory.pending, []
        groups = self._compared(self._continued(waiting), step)
        picked = self._pick(step, self.config.groups)
        groups += self._compared(self._fresh(picked, step), step)
        thrown_away: list[Group] = []
        if self.config.rollouts.equal_groups == "refill":
            thrown_away = self._refill(groups, step, used=picked)
        every = [*thrown_away, *groups]
        numbers = {
            "groups/refilled": float(len(thrown_away)),
            "groups/pending": float(len(self.memory.pending)),
            "tokens/gathered": float(sum(group.num_tokens for group in every)),
        }
        if every:
            numbers["groups/equal"] = fmean(group.is_equal for group in every)
        return Batch(step, tuple(groups), numbers)

    def _pick(
        self, step: int, count: int, *, refill: int = 0, used: Sequence[int] = ()
    ) -> list[int]:
        """Places of the next prompts; those of a refill are none that this step had already."""
        seed = derive(self.job.seed, refill) if refill else self.job.seed
        asked = min(len(self.tasks), count + len(used)) if refill else count
        places = self.config.prompts.pick(
            self.tasks,
            asked,
            step=step,
            num_steps=self.config.steps,
            seed=seed,
            record=self.memory.record,
        )
        if not refill:
            return places
        return [place for place in dict.fromkeys(places) if place not in used][:count]

    def _refill(self, groups: list[Group], step: int, *, used: Sequence[int]) -> list[Group]:
        """Put other prompts in the place of groups whose rewards are all equal.

        Changes ``groups``; returns those that were thrown away. What is still equal after the
        last refill stays.
        """
        thrown_away: list[Group] = []
        used = list(used)
        for refill in range(1, self.config.rollouts.max_refills + 1):
            equal = [group for group in groups if group.is_equal]
            places = self._pick(step, len(equal), refill=refill, used=used) if equal else []
            if not places:
                break
            used += places
            thrown_away += equal[: len(places)]
            gone = {id(group) for group in equal[: len(places)]}
            groups[:] = [group for group in groups if id(group) not in gone]
            groups += self._compared(self._fresh(places, step), step)
        return thrown_away

    def _continued(self, waiting: Sequence[Pending]) -> list[Answered]:
        """The groups that became whole; the others wait on."""
        with self._timed("sample"):
            drawn = go_on(
                waiting,
                self.policy,
                budget=self.config.rollouts.token_budget,
                decode=self.chat.decode,
                on_progress=self._teller(sum(len(one.unfinished) for one in waiting)),
            )
        return self._whole(waiting, drawn)

    def _fresh(self, places: Sequence[int], step: int) -> list[Answered]:
        """The first tokens of answers to new prompts, in the prompts' order."""
        tasks = [self.tasks[place] for place in places]
        params = [self._params(task, step) for task in tasks]
        with_tools = self._with_tools(tasks, step)
        plain = [number for number in range(len(tasks)) if number not in with_tools]
        answered = self._played([Play(tasks[n], params[n]) for n in sorted(with_tools)], step)
        answered += self._plain([tasks[n] for n in plain], [params[n] for n in plain], step)
        order = {task.id: number for number, task in enumerate(tasks)}
        return sorted(answered, key=lambda one: order[one.task.id])

    def _with_tools(self, tasks: Sequence[RubricTask], step: int) -> set[int]:
        if self.theatre is None:
            return set()
        share = self.config.tools.share if self.config.tools.names else 0.0
        return places_with_tools(tasks, share, step=step)

    def _plain(
        self, tasks: Sequence[RubricTask], params: Sequence[SamplingParams], step: int
    ) -> list[Answered]:
        """Answers without tools: the prompt is the conversation and nothing else."""
        fresh = [
            Pending(
                task.id,
                tuple(self.chat.encode(conversation(task, self.config.system_prompt))),
                one,
                step,
                (Draft(),) * self.config.group_size,
            )
            for task, one in zip(tasks, params, strict=True)
        ]
        with self._timed("sample"):
            drawn = begin(
                fresh,
                self.policy,
                budget=self.config.rollouts.token_budget,
                decode=self.chat.decode,
                on_progress=self._teller(len(fresh) * self.config.group_size),
            )
        return self._whole(fresh, drawn)

    def _played(self, plays: Sequence[Play], step: int) -> list[Answered]:
        """Answers with tools, each drawn to its end."""
        if not plays or self.theatre is None:
            return []
        num_samples = self.config.group_size
        with self._timed("sample"):
            played = self.theatre.play(plays, num_samples=num_samples, on_progress=self._teller(0))
        self._spend("tokens/prefill", played.num_read)
        answered = []
        for play, rollouts in zip(plays, played.rollouts, strict=True):
            self._spend("tokens/sampled", sum(rollout.num_tokens for rollout in rollouts))
            first = next(
                (rollout.segments[0].read for rollout in rollouts if rollout.segments), ()
            )
            answered.append(Answered(play.task, first, rollouts, play.params.temperature, step))
        return answered

    def _whole(self, before: Sequence[Pending], drawn: Drawn) -> list[Answered]:
        """The finished groups; the rest is put by. Counts what was drawn."""
        self._spend("tokens/prefill", drawn.num_read)
        self._spend("tokens/sampled", _num_tokens(drawn.groups) - _num_tokens(before))
        self.memory.pending += [group for group in drawn.groups if not group.is_whole]
        by_id = {task.id: task for task in self.tasks}
        return [
            Answered(
                by_id[group.task_id],
                group.prompt,
                [read(one.segments, one.stop_reason, self.chat) for one in group.drafts],
                group.params.temperature,
                group.begun,
            )
            for group in drawn.groups
            if group.is_whole
        ]

    def _compared(self, answered: Sequence[Answered], step: int) -> list[Group]:
        """Graded, rewarded, compared and told."""
        pairs = [(one.task, rollout) for one in answered for rollout in one.rollouts]
        with self._timed("grade"):
            graded = iter(self.judging.grade(pairs, self._grade_teller(len(pairs))))
        with self._timed("reward"):
            groups = [
                self._rewarded(one, [next(graded) for _ in one.rollouts], step) for one in answered
            ]
        for group in groups:
            for number, rollout in enumerate(group.rollouts):
                prompt = self.config.system_prompt
                self.job.emit(event(group, number, rollout, step=step, system_prompt=prompt))
        return groups

    def _rewarded(self, answered: Answered, rollouts: Sequence[Rollout], step: int) -> Group:
        task, stages = answered.task, self.config.rewards
        situations = [
            Situation(task, progress_of(step, self.config.steps), step, memory, critic)
            for memory, critic in zip(self.memory.stages, self.critics, strict=True)
        ]
        group = compare(
            task, answered.prompt, reward(rollouts, stages, situations), self.config.loss
        )
        scores = [rollout.score for rollout in group.graded if rollout.score is not None]
        if scores:
            self.memory.record.add(task.id, fmean(scores))
        first_sample = self._numbers[task.id]
        self._numbers[task.id] += len(rollouts)
        return replace(
            group,
            temperature=answered.temperature,
            begun=answered.begun,
            numbers=_stage_numbers(group, stages, situations),
            first_sample=first_sample,
        )

    def _params(self, task: RubricTask, step: int) -> SamplingParams:
        """How the answers to the next prompt of the step are drawn."""
        self._num_begun += 1
        config = self.config
        stages = [stage for stage in config.rewards if isinstance(stage, Budgeting)]
        budgets = [stage.max_tokens(task) for stage in stages]
        known = [budget for budget in budgets if budget is not None]
        return SamplingParams(
            max_tokens=min([config.sampling.max_tokens, *known]),
            temperature=temperature(
                config.sampling, config.temperature, progress_of(step, config.steps)
            ),
            top_p=config.sampling.top_p,
            seed=derive(self.job.seed, step, self._num_begun),
            stop_repetition=config.rollouts.stop_repetition,
            stop_confident=config.rollouts.stop_confident,
        )

    def _teller(self, total: int) -> OnProgress:
        def tell(num_tokens: int, num_done: int) -> None:
            self.job.emit(Progress("sample", num_done, max(total, num_done), "answers"))

        if total:
            tell(0, 0)
        return tell

    def _grade_teller(self, total: int) -> OnGraded:
        def tell(num_done: int) -> None:
            self.job.check()
            if self.config.grader.kind != "embedded":
                self.job.emit(Progress("grade", num_done, total, "answers"))

        return tell

    def _spend(self, name: str, amount: float) -> None:
        self.spent[name] = self.spent.get(name, 0.0) + amount

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._spend(f"time/{phase}", time.monotonic() - began)


class OnGraded(Protocol):
    """Hears how many answers are graded. May raise to stop."""

    def __call__(self, num_done: int, /) -> None: ...


def _stage_numbers(
    group: Group, stages: Sequence[Stage], situations: Sequence[Situation]
) -> dict[str, float]:
    outcomes = [outcome_of(rollout) for rollout in group.graded]
    numbers: dict[str, float] = {}
    for stage, situation in zip(stages, situations, strict=True):
        numbers |= stage.numbers(outcomes, situation) if outcomes else {}
    return numbers


def _num_tokens(groups: Sequence[Pending]) -> int:
    return sum(len(draft.so_far.tokens) for group in groups for draft in group.drafts)
