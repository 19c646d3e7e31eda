"""An answer as others see it grow, whichever process writes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from apps.automation.threads import in_thread
from apps.chat import answers, services
from apps.chat.growing import Answer
from apps.chat.models import ChatMessage, Conversation
from apps.chat.services import Draft

FRAME_SECONDS = 0.1
# How often the row is read while another process writes the answer.
POLL_SECONDS = 0.5


async def drafts(conversation: Conversation, pk: int) -> AsyncGenerator[Draft, None]:
    """The answer ``pk`` as far as it is, again and again until it is over."""
    room = answers.room_of(conversation.pk)
    while (draft := await _draft(room, conversation, pk)) is not None:
        yield draft
        is_ours = room.answer is not None
        await asyncio.sleep(FRAME_SECONDS if is_ours else POLL_SECONDS)


async def _draft(room: answers.Room, conversation: Conversation, pk: int) -> Draft | None:
    if isinstance(room.answer, Answer) and room.answer.pk == pk:
        return room.answer.draft
    await in_thread(services.close_silent, conversation)
    row = await in_thread(ChatMessage.objects.writing().filter(pk=pk).first)
    if row is None:
        return None
    return Draft(row.content, row.thinking, row.num_tokens, row.seconds, row.tools, row.sources)
