"""Answers in the making: tasks of the web process that outlive the sockets watching them.

A reload goes on where it was, because nothing hangs on the socket. What an answer has so far
is kept in its row twice a second; a stop in another process is noticed there.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from contextlib import aclosing
from typing import NamedTuple
from weakref import WeakValueDictionary

from apps.automation.threads import in_thread
from apps.chat import recording, services
from apps.chat.growing import Answer
from apps.chat.models import ChatMessage, Conversation
from apps.deployments.limits import ANSWERS
from kos.errors import UserError
from kos.messages import Message

logger = logging.getLogger(__name__)

KEEP_SECONDS = 0.5
CRASHED = "Kos failed while this answer was written; the server's log says why."

Status = ChatMessage.Status


class Ending(NamedTuple):
    """How an answer ends."""

    status: ChatMessage.Status
    error: str = ""


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


def is_writing() -> bool:
    """Whether this process writes an answer just now."""
    return bool(_tasks)


async def tell(conversation_id: int) -> None:
    """Let those who watch a conversation look again."""
    room_of(conversation_id).move()


async def start(row: ChatMessage) -> asyncio.Task[None]:
    """Write the answer of a row with status "writing", in a task of its own.

    The row comes with its conversation: nothing is read here, in the event loop.
    """
    room = room_of(row.conversation_id)
    answer = room.answer = Answer(row.pk)
    # In a context of its own: a plain view's would send its database calls to a thread that
    # ends with the request.
    writing = _write_seated(answer, room, row.conversation.owner_id)
    answer.task = asyncio.create_task(writing, context=contextvars.Context())
    _tasks.add(answer.task)
    answer.task.add_done_callback(_tasks.discard)
    room.move()
    return answer.task


async def start_and_wait(row: ChatMessage) -> None:
    """The same to its end, for a server without an event loop of its own."""
    await (await start(row))


async def stop(conversation: Conversation) -> None:
    """End the conversation's answer, whichever process writes it."""
    answer = room_of(conversation.pk).answer
    if answer is not None and answer.task is not None:
        answer.stop()
        await asyncio.wait([answer.task])
    else:
        await in_thread(services.stop, conversation)


async def _write_seated(answer: Answer, room: Room, owner: int) -> None:
    with ANSWERS.held(owner):
        await _write(answer, room)


async def _write(answer: Answer, room: Room) -> None:
    keeper = asyncio.create_task(_keep_up(answer))
    ending = Ending(Status.FAILED, CRASHED)
    asked: list[Message] = []
    try:
        # Opening the tools' data for the first time may take seconds, which nobody else waits.
        question = await in_thread(services.question_of, answer.pk)
        asked = question.messages
        turn = question.harness.run(asked, earlier=question.earlier)
        async with aclosing(turn) as events:
            async for event in events:
                answer.take(event)
                room.move()
        assert answer.done is not None, "the loop ended without TurnDone"
        ending = Ending(Status.DONE)
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
            await _end(answer, ending, asked)
        finally:
            room.answer = None
            room.move()


async def _end(answer: Answer, ending: Ending, messages: list[Message]) -> None:
    await in_thread(
        services.finish,
        answer.pk,
        ending.status,
        answer.draft,
        flags=answer.done.flags if answer.done else (),
        error=ending.error,
        versions=dict(answer.done.versions) if answer.done else None,
    )
    await in_thread(
        recording.record_trace,
        answer.pk,
        messages,
        answer.done or answer.draft,
        error=ending.error,
    )


async def _keep_up(answer: Answer) -> None:
    kept = 0
    while True:
        await asyncio.sleep(KEEP_SECONDS)
        changes = answer.num_changes
        is_kept = await in_thread(
            services.keep_draft, answer.pk, answer.draft, with_tools=changes > kept
        )
        kept = changes
        if not is_kept:
            logger.info("answer %s was stopped by another process", answer.pk)
            answer.stop()
