"""Asking a judge over an OpenAI-compatible endpoint, so many questions at a time and no more."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from kos.errors import UserError

# Refused for a while, or a server in trouble: worth another try.
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
MAX_WAIT_SECONDS = 30.0


class Reply(NamedTuple):
    """What the judge said, how long it took (with retries), and the tokens it wrote and read."""

    text: str
    seconds: float
    num_tokens: int
    num_prompt_tokens: int = 0


class NoReplyError(Exception):
    """The endpoint gave no reply after every try; the text says what it said last."""


class OtherShapeError(UserError):
    """The endpoint answers, but not as OpenAI's do."""


@dataclass
class Endpoint:
    """The judge ``model``; at most ``in_flight`` requests are open at any time.

    ``timeout_seconds`` is for the whole of a reply: the connection's own is only for silence,
    and a server that sends a byte now and then is never silent.
    """

    http: httpx.AsyncClient
    model: str
    params: Mapping[str, Any]
    in_flight: int
    tries: int
    timeout_seconds: float | None = None
    _room: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Count the open requests."""
        self._room = asyncio.Semaphore(self.in_flight)

    async def ask(self, messages: Sequence[Mapping[str, str]]) -> Reply:
        """One reply.

        Raises NoReplyError after ``tries`` failures that may pass, and UserError at once for
        one that will not: a wrong key, model or address. A reply of another shape may be a
        gateway's page: only the last of the tries makes it a UserError.
        """
        body = {"model": self.model, "messages": list(messages), **self.params}
        started = time.perf_counter()
        problem = ""
        told_wait: float | None = None
        for attempt in range(self.tries):
            if attempt:
                await asyncio.sleep(_pause(attempt, told_wait))
            async with self._room:
                try:
                    async with asyncio.timeout(self.timeout_seconds):
                        response = await self.http.post("/v1/chat/completions", json=body)
                except TimeoutError:
                    problem, told_wait = f"no whole reply in {self.timeout_seconds:g} s", None
                    continue
                except (httpx.TransportError, httpx.DecodingError) as error:
                    problem, told_wait = str(error) or type(error).__name__, None
                    continue
            if response.is_success:
                try:
                    return _reply(response, time.perf_counter() - started)
                except OtherShapeError:
                    if attempt == self.tries - 1:
                        raise
                    problem, told_wait = "a reply of another shape", None
                    continue
            problem = f"status {response.status_code}: {response.text[:200]}"
            if response.status_code not in PASSING:
                raise UserError(f"The judge {self.model!r} refused the request ({problem}).")
            told_wait = _told_wait(response)
        raise NoReplyError(f"no reply after {self.tries} tries ({problem})")


def _reply(response: httpx.Response, seconds: float) -> Reply:
    try:
        body = response.json()
        text = body["choices"][0]["message"]["content"] or ""
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _other_shape(response) from error
    if not isinstance(text, str):
        raise _other_shape(response)
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    read, wrote = (_count(usage.get(f"{side}_tokens")) for side in ("prompt", "completion"))
    return Reply(text, seconds, wrote, read)


def _other_shape(response: httpx.Response) -> OtherShapeError:
    return OtherShapeError(
        f"The judge's server answers, but not as OpenAI's do: {response.text[:200]}"
    )


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def _told_wait(response: httpx.Response) -> float | None:
    told = response.headers.get("retry-after", "")
    return float(told) if told.isdecimal() else None


def _pause(attempt: int, told: float | None) -> float:
    """Seconds to wait: what the server says, else full jitter that doubles."""
    longest = 0.5 * 2.0**attempt if told is None else told
    jitter = 1.0 if told is not None else random.random()  # noqa: S311 (no secret)
    return min(MAX_WAIT_SECONDS, longest * jitter)
