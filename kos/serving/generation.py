"""One thread for the model, many answers in turn: each gets a token, then the next one does."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from kos.errors import UserError
from kos.serving.tokens import Detokeniser, TokenModel

# More at once would only make each of them slower: one thread computes them all.
MAX_ACTIVE = 8


@dataclass(frozen=True)
class Started:
    """The prompt was read."""

    num_prompt_tokens: int


@dataclass(frozen=True)
class Text:
    """Some characters of the answer; ``num_tokens`` so far."""

    text: str
    num_tokens: int


@dataclass(frozen=True)
class Ended:
    """The answer is over: "stop" (the model ended it) or "length"."""

    finish_reason: str
    num_tokens: int


@dataclass(frozen=True)
class Refused:
    """There is no answer; the sentence says why and what would do."""

    sentence: str
    is_users_fault: bool = True


GenerationEvent = Started | Text | Ended | Refused


@dataclass(eq=False)
class Generation:
    """One answer in the making. Made in the event loop, worked on in the model's thread."""

    messages: Sequence[Mapping[str, Any]]
    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    events: asyncio.Queue[GenerationEvent] = field(default_factory=asyncio.Queue)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Make no further token, and wake whoever still waits. Called in the event loop."""
        if not self._cancelled.is_set():
            self._cancelled.set()
            self.events.put_nowait(Refused("The request was cancelled.", is_users_fault=False))

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits any more."""
        return self._cancelled.is_set() or self._loop.is_closed()

    def tell(self, event: GenerationEvent) -> None:
        """Hand an event to whoever waits in the event loop."""
        if not self.is_cancelled:
            self._loop.call_soon_threadsafe(self.events.put_nowait, event)


class ModelThread:
    """Runs a model for any number of generations. ``max_context`` bounds prompt plus answer."""

    def __init__(self, model: TokenModel, *, max_context: int) -> None:
        self._model = model
        self._max_context = max_context
        self._waiting: queue.SimpleQueue[Generation | None] = queue.SimpleQueue()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._work: Future[None] = self._executor.submit(self._run)

    @property
    def is_alive(self) -> bool:
        """Whether it still takes generations."""
        return not self._work.done()

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._work.done():
            self._work.result()

    def submit(self, generation: Generation) -> None:
        """Queue an answer."""
        self._waiting.put(generation)

    def close(self) -> None:
        """End the thread after the token it is at."""
        self._waiting.put(None)
        self._executor.shutdown(wait=True)

    def _run(self) -> None:
        active: deque[tuple[Generation, Iterator[None]]] = deque()
        try:
            while self._take_waiting(active):
                generation, steps = active[0]
                if generation.is_cancelled or next(steps, _OVER) is _OVER:
                    active.popleft()
                else:
                    active.rotate(-1)
        finally:
            # What is left is told the truth, whether the server stops or the model failed.
            while not self._waiting.empty():
                if left := self._waiting.get():
                    active.append((left, iter(())))
            for generation, _ in active:
                generation.tell(Refused("The model server stopped.", is_users_fault=False))

    def _take_waiting(self, active: deque[tuple[Generation, Iterator[None]]]) -> bool:
        """Begin what waits, as far as there is room; False when the thread shall end."""
        while len(active) < MAX_ACTIVE and (not active or not self._waiting.empty()):
            generation = self._waiting.get()
            if generation is None:
                return False
            active.append((generation, self._answer(generation)))
        return True

    def _answer(self, generation: Generation) -> Iterator[None]:
        """Make the answer, pausing after every token."""
        try:
            prompt = self._model.encode(generation.messages)
            max_tokens = min(generation.max_tokens, self._room(len(prompt)))
        except UserError as error:
            generation.tell(Refused(str(error)))
            return
        generation.tell(Started(len(prompt)))
        text = Detokeniser(self._model.decode)
        num_tokens = 0
        finish_reason = "length"
        for token in self._model.stream(
            prompt,
            max_tokens=max_tokens,
            temperature=generation.temperature,
            top_p=generation.top_p,
            seed=generation.seed,
        ):
            if token in self._model.end_ids:
                finish_reason = "stop"
                break
            num_tokens += 1
            generation.tell(Text(text.feed(token), num_tokens))
            if num_tokens == max_tokens:
                break
            yield None
        generation.tell(Text(text.close(), num_tokens))
        generation.tell(Ended(finish_reason, num_tokens))

    def _room(self, num_prompt_tokens: int) -> int:
        room = self._max_context - num_prompt_tokens
        if room < 1:
            raise UserError(
                f"The conversation takes {num_prompt_tokens} tokens and this deployment allows "
                f"{self._max_context} with the answer. Shorten it, or deploy the model with a "
                "larger max_context."
            )
        return room


_OVER = object()
