"""Many conversations, one policy: their generations are drawn together, round by round.

A round begins when every conversation that still goes on waits for a generation. So what is
drawn together never depends on how long a tool took, and a run can be repeated bit for bit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from kos.engine.base import OnProgress, Sampled, SamplingParams, derive
from kos.engine.models import Chat
from kos.errors import UserError
from kos.messages import Message
from kos.rl.policy import Policy
from kos.rl.rollouts import Segment
from kos.serving.client import Delta
from kos.serving.generation import StopStrings
from kos.serving.tokens import Detokeniser

R = TypeVar("R")


class Waiting(NamedTuple):
    """A generation that was asked for by the conversation ``place``."""

    place: int
    prompt: tuple[int, ...]
    params: SamplingParams
    answer: asyncio.Future[Sampled]


@dataclass
class Rounds:
    """Draws what the conversations ask for."""

    policy: Policy
    on_progress: OnProgress | None = None
    num_read: int = 0
    _waiting: list[Waiting] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, conversations: Sequence[Coroutine[Any, Any, R]]) -> list[R]:
        """All conversations to their ends, in their order; the first error ends all."""
        tasks = [asyncio.create_task(one) for one in conversations]
        for task in tasks:
            task.add_done_callback(lambda _: self._changed.set())
        try:
            while going := [task for task in tasks if not task.done()]:
                if len(self._waiting) < len(going):
                    self._changed.clear()
                    await self._changed.wait()
                else:
                    self._draw()
                    # Let those that were answered take what they were given.
                    await asyncio.sleep(0)
                for task in tasks:
                    if task.done():
                        task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [task.result() for task in tasks]

    async def ask(self, place: int, prompt: Sequence[int], params: SamplingParams) -> Sampled:
        """One generation, once all others are ready for theirs."""
        answer: asyncio.Future[Sampled] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(place, tuple(prompt), params, answer))
        self._changed.set()
        return await answer

    def _draw(self) -> None:
        asked = sorted(self._waiting, key=lambda one: one.place)
        self._waiting = []
        drawn = self.policy.sample(
            [one.prompt for one in asked],
            [one.params for one in asked],
            num_samples=1,
            on_progress=self.on_progress,
        )
        self.num_read += sum(len(one.prompt) for one in asked)
        for one, (answer,) in zip(asked, drawn, strict=True):
            one.answer.set_result(answer)


@dataclass
class RoundClient:
    """The policy as the harness's model server: tokens go in and tokens come out.

    What was drawn is never turned into text and back: a prompt that begins with all that was
    read and said before goes on from those very tokens. ``segments`` keeps them with the
    log-probabilities they were drawn with. A ``kos.serving.client.ChatClient``.
    """

    rounds: Rounds
    place: int
    chat: Chat
    params: SamplingParams
    max_context: int
    segments: list[Segment] = field(default_factory=list)
    _text: str = ""
    _ids: tuple[int, ...] = ()

    async def stream_chat(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float,
        tools: Sequence[Mapping[str, Any]] = (),
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> AsyncGenerator[Delta, None]:
        """Always raises UserError: a policy in training reads rendered prompts only."""
        raise UserError("A policy in training is asked in the dialect `kimi` or `hermes`.")
        yield Delta()

    async def stream_raw(
        self,
        prompt: str,
        *,
        max_tokens: int,
        temperature: float,
        top_p: float = 1.0,
        stop: Sequence[str] = (),
        seed: int | None = None,
        logprobs: bool = False,
    ) -> AsyncGenerator[Delta, None]:
        """What follows ``prompt``, a delta a token, once the round was drawn."""
        read, is_new = self._read(prompt)
        ids = read if is_new else self._ids + read
        room = min(max_tokens, self.max_context - len(ids))
        if room < 1:
            raise UserError(
                f"the conversation has {len(ids)} tokens and the context ends at "
                f"{self.max_context}; raise tools.max_context, or lower tools.observation_tokens"
            )
        params = SamplingParams(
            max_tokens=room,
            temperature=temperature,
            top_p=top_p,
            seed=derive(self.params.seed, len(self.segments)),
            stop_repetition=self.params.stop_repetition,
            stop_confident=self.params.stop_confident,
        )
        answer = await self.rounds.ask(self.place, ids, params)
        version, num_taken, shown = self.rounds.policy.version, 0, ""
        text, stops = Detokeniser(self.chat.decode), StopStrings(tuple(stop))
        is_stopped = False
        try:
            for token, logprob in zip(answer.tokens, answer.logprobs, strict=True):
                num_taken += 1
                piece, is_stopped = stops.feed(text.feed(token))
                shown += piece
                yield Delta(text=piece, token_ids=(token,), logprobs=(logprob,))
                if is_stopped:
                    break
            if not is_stopped:
                rest, is_stopped = stops.feed(text.close())
                rest += "" if is_stopped else stops.close()
                yield Delta(text=rest)
            reason = "stop" if is_stopped else answer.stop_reason
            yield Delta(finish_reason=reason, num_tokens=num_taken, num_prompt_tokens=len(ids))
        finally:
            # The harness stops reading where it sees a loop: what it did not read was not said.
            said = answer.tokens[:num_taken]
            segment = Segment(said, answer.logprobs[:num_taken], version, read, is_new)
            self.segments.append(segment)
            self._ids = ids + said
            self._text = prompt + self.chat.text_of(said)

    def _read(self, prompt: str) -> tuple[tuple[int, ...], bool]:
        """What is new in ``prompt``, and whether that is all of it."""
        is_new = not self._text or not prompt.startswith(self._text)
        fresh = prompt if is_new else prompt.removeprefix(self._text)
        return tuple(self.chat.tokenize(fresh)), is_new
