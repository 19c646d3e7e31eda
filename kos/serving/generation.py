"""One thread for the model, many answers at a time: every step gives each of them a token."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from kos.engine.base import SamplingParams
from kos.errors import UserError
from kos.serving.tokens import Detokeniser, TokenModel

# A step with this many rows takes little longer than one with a single row, as the weights
# are read once for all; more rows would let a long prompt's reading delay too many answers.
MAX_ACTIVE = 16


@dataclass(frozen=True)
class Started:
    """The prompt was read."""

    prompt_ids: tuple[int, ...]


@dataclass(frozen=True)
class Text:
    """Some characters of the answer, and the tokens that were drawn for them.

    A token may come before its text: characters can span tokens, and what may be the beginning
    of a stop string waits.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


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
    """One answer in the making. Made in the event loop, worked on in the model's thread.

    ``prompt`` is a conversation for the model's own template, or a text rendered elsewhere. The
    answer ends before the first of the ``stop`` strings.
    """

    prompt: Sequence[Mapping[str, Any]] | str
    params: SamplingParams
    stop: tuple[str, ...] = ()
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
        active: dict[Hashable, Writer] = {}
        try:
            while self._take_waiting(active):
                for handle, writer in [*active.items()]:
                    if writer.generation.is_cancelled:
                        self._end(active, handle)
                for handle, token, logprob in self._model.step() if active else ():
                    if active[handle].take(token, logprob):
                        self._end(active, handle)
        finally:
            # What is left is told the truth, whether the server stops or the model failed.
            left = [writer.generation for writer in active.values()]
            while not self._waiting.empty():
                left += filter(None, [self._waiting.get()])
            for generation in left:
                generation.tell(Refused("The model server stopped.", is_users_fault=False))

    def _take_waiting(self, active: dict[Hashable, Writer]) -> bool:
        """Begin what waits, as far as there is room; False when the thread shall end."""
        while len(active) < MAX_ACTIVE and (not active or not self._waiting.empty()):
            generation = self._waiting.get()
            if generation is None:
                return False
            if not generation.is_cancelled:
                self._begin(active, generation)
        return True

    def _begin(self, active: dict[Hashable, Writer], generation: Generation) -> None:
        try:
            prompt = self._read(generation.prompt)
            params = generation.params
            room = min(params.max_tokens, self._room(len(prompt)))
        except UserError as error:
            generation.tell(Refused(str(error)))
            return
        # On the list before the model sees it: a model that fails must not leave it waiting.
        active[generation] = writer = Writer(generation, self._model, room)
        handle = self._model.begin(prompt, replace(params, max_tokens=room))
        del active[generation]
        active[handle] = writer
        generation.tell(Started(tuple(prompt)))

    def _end(self, active: dict[Hashable, Writer], handle: Hashable) -> None:
        self._model.end(handle)
        del active[handle]

    def _read(self, prompt: Sequence[Mapping[str, Any]] | str) -> list[int]:
        ids = (
            self._model.tokenize(prompt) if isinstance(prompt, str) else self._model.encode(prompt)
        )
        if not ids:
            raise UserError("The prompt is empty. Send some text.")
        return ids

    def _room(self, num_prompt_tokens: int) -> int:
        room = self._max_context - num_prompt_tokens
        if room < 1:
            raise UserError(
                f"The conversation takes {num_prompt_tokens} tokens and this deployment allows "
                f"{self._max_context} with the answer. Shorten it, or deploy the model with a "
                "larger max_context."
            )
        return room


class Writer:
    """Turns the tokens of one answer into its events. ``room`` is its length at most."""

    def __init__(self, generation: Generation, model: TokenModel, room: int) -> None:
        self.generation = generation
        self._end_ids = model.end_ids
        self._room = room
        self._text = Detokeniser(model.decode)
        self._stops = StopStrings(generation.stop)
        self._num_tokens = 0

    def take(self, token: int, logprob: float) -> bool:
        """Take the next token; True when the answer is over."""
        if token in self._end_ids:
            self._finish("stop", (token,), (logprob,))
            return True
        self._num_tokens += 1
        text, is_stopped = self._stops.feed(self._text.feed(token))
        self.generation.tell(Text(text, (token,), (logprob,)))
        if is_stopped:
            self.generation.tell(Ended("stop", self._num_tokens))
        elif self._num_tokens == self._room:
            self._finish("length")
        return is_stopped or self._num_tokens == self._room

    def _finish(
        self, reason: str, token_ids: tuple[int, ...] = (), logprobs: tuple[float, ...] = ()
    ) -> None:
        text, is_stopped = self._stops.feed(self._text.close())
        text += "" if is_stopped else self._stops.close()
        self.generation.tell(Text(text, token_ids, logprobs))
        self.generation.tell(Ended(reason, self._num_tokens))


@dataclass
class StopStrings:
    """Ends a text before the first of ``stops``; what may begin one waits for more."""

    stops: tuple[str, ...]
    _held: str = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """Some more text; returns what is settled, and whether a stop string was met."""
        text = self._held + text
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        if places:
            self._held = ""
            return text[: min(places)], True
        cut = len(text) - max((_overlap(text, stop) for stop in self.stops), default=0)
        self._held = text[cut:]
        return text[:cut], False

    def close(self) -> str:
        """What was held back turns out to be plain text."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that begins ``stop``."""
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return next((size for size in sizes if stop.startswith(text[-size:])), 0)
