"""One question on its way to an answer: the state of the loop."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kos.harness.calls import Bench
from kos.harness.citations import SourceBook
from kos.harness.context import (
    ANSWER_NOW,
    SUM_UP,
    Context,
    declared_tokens,
    neutralised,
    notes_of,
    summary_of,
    with_global_ids,
)
from kos.harness.ending import finish
from kos.harness.events import ContextCut, Resampled, TurnEvent, TurnStarted
from kos.harness.observations import Budget
from kos.harness.swarm import Swarm
from kos.harness.turns import MIN_RESAMPLE_TEMPERATURE, Generation, Prompt, Writer
from kos.messages import Message, Source, TurnRecord
from kos.tools.desk import Desk

if TYPE_CHECKING:
    from kos.harness.loop import Harness

# With less of the time left than this, the next generation is told to be the last.
LAST_SHARE = 0.15


@dataclass
class Question:
    """Everything one run of the loop knows. ``agent`` names a sub-agent's."""

    harness: Harness
    context: Context
    bench: Bench
    writer: Writer
    declarations: tuple[Mapping[str, Any], ...]
    swarm: Swarm | None = None
    agent: str = ""
    clock: float = field(default_factory=time.perf_counter)
    turns: list[TurnRecord] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    num_resamples: int = 0
    _generation: Generation | None = None

    @classmethod
    def open(
        cls,
        harness: Harness,
        asked: Sequence[Message],
        *,
        earlier: Sequence[Source] = (),
        book: SourceBook | None = None,
        agent: str = "",
        clock: float | None = None,
    ) -> Question:
        """Lay everything out. ``asked`` begins with the system prompt."""
        clock = time.perf_counter() if clock is None else clock
        options, limits = harness.options, harness.limits
        writer = Writer(harness.client, harness.dialect, limits, options)
        messages = neutralised(asked)
        if writer.dialect.is_rendered:
            messages = with_global_ids(messages)
        budget = Budget(
            options.observation_tokens,
            options.run_observation_tokens,
            harness.count_tokens,
            can_read=any(tool.name == "read_url" for tool in harness.tools),
        )
        bench = Bench(
            harness.tools,
            _desk_for(harness, asked, earlier),
            book or SourceBook.open(earlier),
            budget,
            limits,
            agent=agent,
            started=clock,
        )
        swarm = None
        if options.mode == "swarm":
            swarm = Swarm(harness, bench)
            bench.tools = [*harness.tools, *swarm.tools]
            messages = swarm.brief(messages)
        context = Context(
            messages, budget, limits.max_tokens, limits.max_context, options.context_share
        )
        declarations = tuple(tool.declare() for tool in bench.tools)
        return cls(harness, context, bench, writer, declarations, swarm, agent, clock)

    async def run(self) -> AsyncGenerator[TurnEvent, None]:
        """The loop itself."""
        limits = self.harness.limits
        for turn in range(1, limits.max_turns + 1):
            async with aclosing(self._make_room(turn)) as events:
                async for event in events:
                    yield event
            is_last = turn == limits.max_turns or self.bench.is_closed or self._is_late
            prompt = self._prompt(is_last=is_last and turn > 1)
            async with aclosing(self._draw(prompt, turn)) as drawn:
                async for event in drawn:
                    yield event
            if not self.generation.asked or self.generation.stop_reason == "time" or is_last:
                break
            self.context.add(self.generation.message)
            before = self.bench.num_calls
            async with aclosing(self.bench.make(self.generation.asked, turn)) as made:
                async for event in made:
                    yield event
            for record in self.bench.records[before:]:
                result = Message("tool", record.observation, tool_call_id=record.call.id)
                self.context.add(result)
        yield await finish(self)

    @property
    def generation(self) -> Generation:
        """The last one that counts."""
        assert self._generation is not None, "nothing was generated yet"
        return self._generation

    @property
    def seconds(self) -> float:
        """Since the question began."""
        return time.perf_counter() - self.clock

    @property
    def _is_late(self) -> bool:
        return self.seconds > self.harness.limits.seconds * (1 - LAST_SHARE)

    def _prompt(self, *, is_last: bool = False, line: str = ANSWER_NOW) -> Prompt:
        messages = self.context.messages
        if is_last and self.writer.dialect.is_rendered:
            messages = [*messages, Message("system", line)]
        elif is_last and messages[-1].role == "tool":
            # Many templates refuse a system message that is not the first.
            last = messages[-1]
            told = f"{last.content}\n\n{line}"
            messages = [*messages[:-1], Message("tool", told, tool_call_id=last.tool_call_id)]
        elif is_last:
            messages = [*messages, Message("user", line)]
        return self.writer.prompt(messages, self.declarations)

    async def _draw(self, prompt: Prompt, turn: int) -> AsyncGenerator[TurnEvent, None]:
        """Generate, and once more where the turn came out malformed."""
        limits = self.harness.limits
        for attempt in range(limits.max_resamples_per_turn + 1):
            generation = self._generation = self._begin(prompt, turn, attempt)
            yield TurnStarted(turn, self.agent)
            async with aclosing(generation.run()) as deltas:
                async for delta in deltas:
                    yield delta
            self.context.learn_scale(self._count(prompt), generation.num_prompt_tokens)
            may_resample = (
                self.harness.options.resample
                and attempt < limits.max_resamples_per_turn
                and self.num_resamples < limits.max_resamples
                and not self._is_late
            )
            if not (generation.is_malformed and may_resample):
                self.turns.append(generation.record(clock=self.clock))
                return
            self.num_resamples += 1
            self.flag("resampled")
            self.turns.append(generation.record("resampled", clock=self.clock))
            yield Resampled(turn, generation.flags, self.agent)

    def _begin(self, prompt: Prompt, turn: int, attempt: int) -> Generation:
        limits = self.harness.limits
        temperature = limits.temperature
        seed = limits.seed if limits.seed is not None else secrets.randbits(31)
        if attempt:
            temperature = max(temperature, MIN_RESAMPLE_TEMPERATURE)
            seed += 7919 * attempt
        return Generation(
            self.writer,
            prompt,
            turn,
            agent=self.agent,
            seed=seed,
            temperature=temperature,
            deadline=self.clock + limits.seconds,
        )

    async def _make_room(self, turn: int) -> AsyncGenerator[TurnEvent, None]:
        """Shorten the prompt where it has grown too long."""
        before = self._num_prompt_tokens()
        if not self.context.is_over(before):
            return
        if not self.context.seen:
            self.context.shrink(self._num_prompt_tokens)  # says so when the question is too long
            return
        strategy = self.harness.options.context
        self.flag(f"context_{strategy}")
        match strategy:
            case "keep_last_round":
                self.context.hide_old_results()
            case "discard_all":
                self.context.restart_with(self._notes())
            case "summary":
                await self._sum_up(turn)
        self.context.shrink(self._num_prompt_tokens)
        yield ContextCut(strategy, before, self._num_prompt_tokens(), self.agent)

    async def _sum_up(self, turn: int) -> None:
        """Let the model sum up its results; where it does not, notes take their place."""
        self.context.shrink(lambda: self._num_prompt_tokens(SUM_UP))
        generation = self._begin(self._prompt(is_last=True, line=SUM_UP), turn, 0)
        async with aclosing(generation.run()) as deltas:
            async for _ in deltas:
                pass  # the reader has no use for it
        self.turns.append(generation.record("context_summary", clock=self.clock))
        text = generation.message.content
        notes = summary_of(text) if text and not generation.asked else self._notes()
        self.context.restart_with(notes)

    def _notes(self) -> str:
        titles = {source.id: source.title for source in self.bench.book.every}
        return notes_of(self.bench.records, titles, can_read=self.bench.budget.can_read)

    def _num_prompt_tokens(self, line: str = ANSWER_NOW) -> int:
        """Of the next prompt, with the line that may come last."""
        return int(self._count(self._prompt(is_last=True, line=line)) * self.context.scale)

    def _count(self, prompt: Prompt) -> int:
        if prompt.rendered:
            return self.harness.count_tokens(prompt.rendered)
        return declared_tokens(prompt.messages, prompt.declarations, self.harness.count_tokens)

    def flag(self, flag: str) -> None:
        """Note once that something happened."""
        if flag not in self.flags:
            self.flags.append(flag)


def _desk_for(harness: Harness, asked: Sequence[Message], earlier: Sequence[Source]) -> Desk:
    desk = harness.desk.for_conversation()
    for message in asked:
        if message.role in ("user", "tool"):
            desk.learn(message.content)
    for source in earlier:
        desk.sources[source.id] = source
        desk.known_urls.update([source.url] if source.url else [])
    return desk
