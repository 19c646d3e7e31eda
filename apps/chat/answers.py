"""Answers in the making: tasks of the web process that outlive the sockets watching them.

A reload goes on where it was, because nothing hangs on the socket. What an answer has so far
is kept in its row twice a second; a stop in another process is noticed there.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple
from weakref import WeakValueDictionary

from channels.db import database_sync_to_async

from apps.chat import services
from apps.chat.models import ChatMessage, Conversation
from apps.chat.services import Draft, Question
from kos.errors import UserError
from kos.harness.loop import AnswerDelta, ThinkingDelta, TurnDone, TurnEvent, run_turn
from kos.messages import Message

logger = logging.getLogger(__name__)

KEEP_SECONDS = 0.5
CRASHED = "Kos failed while this answer was written; the server's log says why."

Status = ChatMessage.Status


class Ending(NamedTuple):
    """How an answer ends."""

    status: ChatMessage.Status
    error: str = ""
    flags: Sequence[str] = ()


@dataclass(eq=False)
class Answer:
    """One answer as it grows."""

    pk: int
    content: str = ""
    thinking: str = ""
    num_tokens: int = 0
    is_stop_requested: bool = False
    task: asyncio.Task[None] | None = None
    done: TurnDone | None = None
    started: float = field(default_factory=time.perf_counter)

    def take(self, event: TurnEvent) -> None:
        match event:
            case AnswerDelta(text):
                self.content += text
                self.num_tokens += 1
            case ThinkingDelta(text):
                self.thinking += text
                self.num_tokens += 1
            case TurnDone():
                self.content, self.thinking = event.message.content, event.message.thinking
                self.num_tokens, self.done = event.num_tokens, event

    @property
    def draft(self) -> Draft:
        seconds = self.done.seconds if self.done else time.perf_counter() - self.started
        return Draft(self.content, self.thinking, self.num_tokens, seconds)

    def stop(self) -> None:
        self.is_stop_requested = True
        if self.task is not None:
            self.task.cancel()


class Room:
    """What the sockets of one conversation watch: ``moved`` is set at the next change."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.moved = asyncio.Event()

    def move(self) -> None:
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()


# A room lives as long as a socket or an answer holds it.
_rooms: WeakValueDictionary[int, Room] = WeakValueDictionary()
# The event loop itself keeps tasks only weakly.
_tasks: set[asyncio.Task[None]] = set()


def room_of(conversation_id: int) -> Room:
    """The room of a conversation in this process."""
    room = _rooms.get(conversation_id)
    if room is None:
        room = _rooms[conversation_id] = Room()
    return room


async def start(answer_id: int) -> asyncio.Task[None]:
    """Write the answer of a row with status "writing", in a task of its own."""
    try:
        question = await database_sync_to_async(services.question_of)(answer_id)
    except UserError as error:
        await _end(Answer(answer_id), Ending(Status.FAILED, str(error)), [])
        raise
    room = room_of(question.conversation_id)
    answer = room.answer = Answer(answer_id)
    # In a context of its own: a plain view's would send its database calls to a thread that
    # ends with the request.
    answer.task = asyncio.create_task(
        _write(answer, room, question), context=contextvars.Context()
    )
    _tasks.add(answer.task)
    answer.task.add_done_callback(_tasks.discard)
    room.move()
    return answer.task


async def start_and_wait(answer_id: int) -> None:
    """The same to its end, for a server without an event loop of its own."""
    await (await start(answer_id))


async def stop(conversation: Conversation) -> None:
    """End the conversation's answer, whichever process writes it."""
    answer = room_of(conversation.pk).answer
    if answer is not None and answer.task is not None:
        answer.stop()
        await asyncio.wait([answer.task])
    else:
        await database_sync_to_async(services.stop)(conversation)


async def _write(answer: Answer, room: Room, question: Question) -> None:
    keeper = asyncio.create_task(_keep_up(answer))
    ending = Ending(Status.FAILED, CRASHED)
    try:
        turn = run_turn(question.messages, client=question.client, limits=question.limits)
        async with aclosing(turn) as events:
            async for event in events:
                answer.take(event)
                room.move()
        assert answer.done is not None, "the loop ended without TurnDone"
        ending = Ending(Status.DONE, flags=answer.done.flags)
    except UserError as error:
        ending = Ending(Status.FAILED, str(error))
    except asyncio.CancelledError:
        ending = Ending(Status.STOPPED)
        if not answer.is_stop_requested:
            ending = Ending(Status.FAILED, services.RESTARTED)
            raise
    finally:
        keeper.cancel()
        try:
            await _end(answer, ending, question.messages)
        finally:
            room.answer = None
            room.move()


async def _end(answer: Answer, ending: Ending, messages: list[Message]) -> None:
    await database_sync_to_async(services.finish)(
        answer.pk, ending.status, answer.draft, flags=ending.flags, error=ending.error
    )
    if answer.done is not None:
        await database_sync_to_async(services.record_trace)(answer.pk, messages, answer.done)


async def _keep_up(answer: Answer) -> None:
    while True:
        await asyncio.sleep(KEEP_SECONDS)
        if not await database_sync_to_async(services.keep_draft)(answer.pk, answer.draft):
            logger.info("answer %s was stopped by another process", answer.pk)
            answer.stop()
