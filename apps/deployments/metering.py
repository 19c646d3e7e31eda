"""What generations take: counted while they are under way, kept as rows when they are over.

Rows are written in batches a moment after an answer ended, so that no caller waits for one.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, InterfaceError, OperationalError, transaction

from apps.automation.threads import in_thread
from apps.deployments.models import Deployment, Usage
from kos.errors import UserError
from kos.messages import Message
from kos.serving.client import Delta, HttpClient

logger = logging.getLogger(__name__)

WRITE_SECONDS = 0.25
# While the database is away rows wait; past that many the oldest are dropped, and the log says so.
MOST_ROWS = 10_000
RETRY_SECONDS = 2.0
# What a server writes beyond that in one generation, whatever it was told, is not kept.
MOST_CHARS = 2_000_000

_in_flight: Counter[int] = Counter()


def in_flight(deployment_id: int) -> int:
    """How many answers of the deployment this process has under way."""
    return _in_flight[deployment_id]


@dataclass
class Meter:
    """One generation as it goes. Times count from when it was asked for, in seconds."""

    deployment_id: int
    user_id: int | None = None
    token_name: str = ""
    source: str = "api"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_seconds: float | None = None
    status: str = Usage.Status.FAILED
    started: float = field(default_factory=time.perf_counter)

    def see_token(self) -> None:
        """Something came: the first time counts."""
        if self.first_token_seconds is None:
            self.first_token_seconds = time.perf_counter() - self.started

    def row(self) -> Usage:
        return Usage(
            user_id=self.user_id,
            token_name=self.token_name[:80],
            deployment_id=self.deployment_id,
            source=self.source,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            first_token_seconds=self.first_token_seconds,
            seconds=time.perf_counter() - self.started,
            status=self.status,
        )


@contextmanager
def metered(meter: Meter) -> Iterator[Meter]:
    """Count ``meter`` as under way; what it holds when the block ends becomes a row.

    It failed unless the block says otherwise; one left early, as when the caller is gone, was
    stopped.
    """
    _in_flight[meter.deployment_id] += 1
    try:
        yield meter
    except (asyncio.CancelledError, GeneratorExit):
        if meter.status == Usage.Status.FAILED:
            meter.status = Usage.Status.STOPPED
        raise
    finally:
        _in_flight[meter.deployment_id] -= 1
        if not _in_flight[meter.deployment_id]:
            del _in_flight[meter.deployment_id]
        BOOK.add(meter.row())


class UsageBook:
    """Rows that wait to be written, all in one statement."""

    def __init__(self) -> None:
        self._rows: list[Usage] = []
        self._writer: asyncio.Task[None] | None = None

    def add(self, row: Usage) -> None:
        """Write ``row`` soon; at once where no event loop runs."""
        self._rows.append(row)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.write()
            return
        if self._writer is None or self._writer.done() or self._writer.get_loop() is not loop:
            # A context of its own: that of a request ends with it, and its database thread too.
            self._writer = loop.create_task(self._write_soon(), context=contextvars.Context())

    async def flush(self) -> None:
        """Write what waits now."""
        if self._rows:
            await in_thread(self.write)

    def write(self) -> None:
        """Write what waits, in this thread."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        try:
            with transaction.atomic():
                Usage.objects.bulk_create(rows)
        except IntegrityError:
            # Somebody or something was deleted meanwhile: the others' rows are kept.
            for row in rows:
                with suppress(IntegrityError), transaction.atomic():
                    row.save(force_insert=True)
        except (OperationalError, InterfaceError):
            self._keep_for_later(rows)
            raise

    def _keep_for_later(self, rows: list[Usage]) -> None:
        waiting = rows + self._rows
        self._rows = waiting[-MOST_ROWS:]
        if num_lost := len(waiting) - len(self._rows):
            logger.error("%s records of usage are lost: the database is away", num_lost)

    async def _write_soon(self) -> None:
        while self._rows:
            await asyncio.sleep(WRITE_SECONDS)
            try:
                await self.flush()
            except (OperationalError, InterfaceError) as error:
                logger.warning("records of usage wait for the database: %s", error)
                await asyncio.sleep(RETRY_SECONDS)


BOOK = UsageBook()


@dataclass(frozen=True)
class MeteredClient:
    """A deployment's client whose generations are counted."""

    client: HttpClient
    deployment: Deployment
    user_id: int | None = None
    token_name: str = ""
    source: str = "chat"

    @property
    def model(self) -> str:
        """What the server calls the model."""
        return self.client.model

    async def stream_chat(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float,
        tools: Sequence[Mapping[str, Any]] = (),
        **options: Any,
    ) -> AsyncGenerator[Delta, None]:
        """Stream one turn in the server's own template."""
        stream = self.client.stream_chat(
            messages, max_tokens=max_tokens, temperature=temperature, tools=tools, **options
        )
        async with aclosing(self._count(stream)) as deltas:
            async for delta in deltas:
                yield delta

    async def stream_raw(self, prompt: str, **options: Any) -> AsyncGenerator[Delta, None]:
        """Continue a prompt that was rendered here."""
        async with aclosing(self._count(self.client.stream_raw(prompt, **options))) as deltas:
            async for delta in deltas:
                yield delta

    async def _count(self, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        meter = Meter(self.deployment.pk, self.user_id, self.token_name, self.source)
        with metered(meter):
            seen = num_chars = 0
            async with aclosing(stream) as deltas:
                async for delta in deltas:
                    num_chars += len(delta.text) + len(delta.thinking)
                    if num_chars > MOST_CHARS:
                        raise UserError(
                            f"The server of {self.deployment.name!r} wrote more than "
                            f"{MOST_CHARS:,} characters; it does not heed max_tokens."
                        )
                    if delta.text or delta.thinking:
                        meter.see_token()
                        seen += 1
                    meter.completion_tokens = delta.num_tokens or max(
                        meter.completion_tokens, seen
                    )
                    meter.prompt_tokens = (
                        getattr(delta, "num_prompt_tokens", 0) or meter.prompt_tokens
                    )
                    yield delta
            meter.status = Usage.Status.OK
