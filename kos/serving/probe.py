"""One question to a model server, timed: the warm-up of a deployment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from kos.errors import UserError
from kos.messages import Message
from kos.serving.client import ChatClient

QUESTION = "Say hello in one short sentence."
MAX_TOKENS = 24


@dataclass(frozen=True)
class Timed:
    """An answer and what it took. The rate counts from the first token on, which had to wait
    for the prompt; it is 0 for an answer of one token.
    """

    text: str
    num_tokens: int
    first_token_seconds: float
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Tokens after the first, over the time after the first."""
        writing = self.seconds - self.first_token_seconds
        return (self.num_tokens - 1) / writing if writing > 0 else 0.0

    def show(self) -> dict[str, Any]:
        """As a deployment keeps it."""
        return {
            "text": self.text,
            "num_tokens": self.num_tokens,
            "first_token_seconds": round(self.first_token_seconds, 4),
            "tokens_per_second": round(self.tokens_per_second, 2),
        }


def warm_up(client: ChatClient) -> Timed:
    """The first real generation of a server; raises ``UserError`` unless an answer comes."""
    return asyncio.run(ask(client, [Message("user", QUESTION)], max_tokens=MAX_TOKENS))


async def ask(client: ChatClient, messages: Sequence[Message], *, max_tokens: int) -> Timed:
    """Ask at temperature 0 and time it; raises ``UserError`` for an answer without a token."""
    started = time.perf_counter()
    first: float | None = None
    texts: list[str] = []
    told, seen = 0, 0
    stream = client.stream_chat(messages, max_tokens=max_tokens, temperature=0)
    async with aclosing(stream) as deltas:
        async for delta in deltas:
            if delta.text or delta.thinking:
                first = first or time.perf_counter() - started
                seen += 1
                texts.append(delta.thinking + delta.text)
            told = delta.num_tokens or told
    if first is None and not told:
        raise UserError("The server is up and gives no answer: its first answer was empty.")
    seconds = time.perf_counter() - started
    return Timed("".join(texts), told or seen, first or seconds, seconds)
