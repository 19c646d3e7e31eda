"""Answers with tools: the harness of serving in the rollout, with the policy as its model.

The tools read what lies on this machine (``Desk(is_offline=True)``), so that a run can be
repeated. A trajectory is drawn whole in its iteration: the token budget of partial rollouts is
for plain answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from math import floor

from kos.chat.dialects import DIALECTS
from kos.config.training import Train
from kos.data.prompts import conversation
from kos.data.rubrics import RubricTask
from kos.engine.base import OnProgress, SamplingParams, derive
from kos.engine.models import Chat
from kos.errors import UserError
from kos.evals.asked import message_of, open_desk
from kos.evals.worlds import World, world_of
from kos.events import Job
from kos.harness.events import TurnDone
from kos.harness.loop import Harness
from kos.harness.options import Limits, Options
from kos.harness.record import rollout_of
from kos.messages import Message
from kos.rl.policy import Policy
from kos.rl.rollouts import Rollout, Segment
from kos.rl.rounds import RoundClient, Rounds
from kos.tools.desk import Desk
from kos.tools.registry import pick_tools

# Results of one question together, in longest results of a call.
RESULTS = 6
TOOL_SECONDS = 60.0


def places_with_tools(tasks: Sequence[RubricTask], share: float, *, step: int) -> set[int]:
    """Which of an iteration's prompts are asked with tools.

    Over the iterations their share is ``share``, in each of them within one prompt of it. A task
    that plays in an environment is always asked with that environment's tools.
    """
    count = len(tasks)
    # A hair more, for shares like 0.1 that no float has exactly.
    wanted = floor(step * share * count + 1e-9) - floor((step - 1) * share * count + 1e-9)
    plain = [place for place, task in enumerate(tasks) if task.environment is None]
    given = {*range(count)} - {*plain}
    missing = max(0, min(wanted - len(given), len(plain)))
    # Spread evenly, and turned with the step, so that no place is always the one with tools.
    spread = ((number * len(plain) // missing + step) % len(plain) for number in range(missing))
    return given | {plain[place] for place in spread}


@dataclass(frozen=True)
class Play:
    """One answer with tools that is to be had: its task and how it is drawn."""

    task: RubricTask
    params: SamplingParams


@dataclass(frozen=True)
class Played:
    """``rollouts`` by task, ungraded, and the prompt tokens that were read for them."""

    rollouts: list[list[Rollout]]
    num_read: int


@dataclass(frozen=True)
class Theatre:
    """Where trajectories are played: the policy, its tools, and what those read."""

    config: Train
    chat: Chat
    policy: Policy
    runner: asyncio.Runner
    desk: Desk

    @classmethod
    def open(cls, config: Train, policy: Policy, runner: asyncio.Runner, job: Job) -> Theatre:
        """Lay out the tools; UserError names one that does not exist."""
        pick_tools(config.tools.names)
        return cls(config, policy.chat, policy, runner, open_desk(job))

    def play(
        self, plays: Sequence[Play], *, num_samples: int, on_progress: OnProgress | None = None
    ) -> Played:
        """``num_samples`` trajectories of every task; one that failed has its ``error``."""
        rounds = Rounds(self.policy, on_progress)

        async def play_all() -> list[Rollout]:
            return await rounds.run(
                [
                    self._answer(play, sample, number * num_samples + sample, rounds)
                    for number, play in enumerate(plays)
                    for sample in range(num_samples)
                ]
            )

        answers = self.runner.run(play_all())
        starts = range(0, len(answers), num_samples)
        return Played([answers[start : start + num_samples] for start in starts], rounds.num_read)

    async def _answer(self, play: Play, sample: int, place: int, rounds: Rounds) -> Rollout:
        seed = derive(play.params.seed, sample)
        client = RoundClient(
            rounds,
            place,
            self.chat,
            replace(play.params, seed=seed),
            self.config.tools.max_context,
        )
        messages = [
            message_of(turn) for turn in conversation(play.task, self.config.system_prompt)
        ]
        try:
            world = world_of(play.task)
            harness = self._harness(play, client, world)
            async with aclosing(harness.run(messages)) as events:
                async for event in events:
                    if isinstance(event, TurnDone):
                        return self._rollout(play.task, event, messages, client, world)
        except UserError as error:
            return failed(client.segments, str(error))
        raise AssertionError("the harness ended without TurnDone")

    def _harness(self, play: Play, client: RoundClient, world: World | None) -> Harness:
        tools, params = self.config.tools, play.params
        limits = Limits(
            max_turns=tools.max_turns,
            max_tokens=params.max_tokens,
            max_context=tools.max_context,
            temperature=params.temperature,
            top_p=params.top_p,
            seed=0,
            # No clock: it would end another run elsewhere.
            seconds=float("inf"),
            tool_seconds=TOOL_SECONDS,
        )
        options = Options(
            tools_as=tools.tools_as,
            observation_tokens=tools.observation_tokens,
            run_observation_tokens=RESULTS * tools.observation_tokens,
            resample=False,
            logprobs=True,
        )
        return Harness(
            client=client,
            dialect=DIALECTS[tools.dialect](),
            tools=pick_tools(tools.names) if world is None else world.tools,
            desk=self.desk.for_conversation(),
            limits=limits,
            options=options,
            system_prompt=self.config.system_prompt,
            name="policy",
            count_tokens=self.chat.count,
        )

    def _rollout(
        self,
        task: RubricTask,
        done: TurnDone,
        messages: Sequence[Message],
        client: RoundClient,
        world: World | None,
    ) -> Rollout:
        told = rollout_of(done, messages, model="policy", example_id=task.id)
        return Rollout(
            segments=tuple(client.segments),
            stop_reason=done.stop_reason,
            raw=done.raw,
            answer=done.message.content,
            thinking=done.message.thinking,
            flags=told.flags,
            num_answer_tokens=self.chat.count(done.message.content),
            items=() if world is None else world.grade(task, told),
            messages=tuple(dict(message) for message in told.messages),
            turns=done.turns,
            tools=done.tools,
            sources=done.sources,
        )


def failed(segments: Sequence[Segment], sentence: str) -> Rollout:
    """No answer: it is left ungraded and out of its group, never scored 0."""
    return Rollout(
        segments=tuple(segments),
        stop_reason="error",
        raw="",
        answer="",
        thinking="",
        flags=(),
        num_answer_tokens=0,
        error=sentence,
    )
