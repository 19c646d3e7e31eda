"""Conversations and messages as the API shows them.

While two sides are compared blind, neither tells who answers: no deployment, no trace.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ninja import Field, Schema

from apps.automation.rest import Id, In
from apps.chat.models import ChatMessage, Conversation

MOST_CHARS = 100_000
# What a message shows as it is kept.
SAME = (
    *("id", "role", "content", "thinking", "status", "error", "flags", "tools", "sources"),
    *("num_tokens", "seconds", "created"),
)


class ConversationOut(Schema):
    id: int
    title: str
    deployment: int | None = Field(None, description="null as well while a comparison is blind.")
    leaf: int | None = Field(None, description="Last message of the branch.")
    pairing: int | None = Field(None, description="Two side by side, of which this is one.")
    created: datetime


class MessageOut(Schema):
    """A message; an answer has status `writing` until it is whole."""

    id: int
    conversation: int
    parent: int | None
    role: str
    content: str
    thinking: str
    status: str
    error: str
    flags: list[Any]
    tools: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    trace: int | None = Field(description="null as well while a comparison is blind.")
    num_tokens: int
    seconds: float
    created: datetime


class MessageIn(In):
    text: str = Field(min_length=1, max_length=MOST_CHARS)
    deployment: Id | None = Field(None, description="Empty: the one before.")
    is_warned: bool = Field(False, description="Send what looks like patient identifiers.")


class WordsIn(In):
    """The same in other words."""

    text: str = Field(min_length=1, max_length=MOST_CHARS)
    is_warned: bool = Field(False, description="Send what looks like patient identifiers.")


def hides(conversation: Conversation) -> bool:
    """Whether nobody is to know yet who answers."""
    return conversation.pairing is not None and conversation.pairing.hides_names


def conversation_out(conversation: Conversation) -> ConversationOut:
    pairing = conversation.pairing
    return ConversationOut(
        id=conversation.pk,
        title=conversation.title,
        deployment=None if hides(conversation) else conversation.deployment_id,
        leaf=conversation.leaf_id,
        pairing=pairing.pk if pairing is not None else None,
        created=conversation.created,
    )


def message_out(message: ChatMessage, conversation: Conversation) -> MessageOut:
    return MessageOut(
        **{name: getattr(message, name) for name in SAME},
        conversation=message.conversation_id,
        parent=message.parent_id,
        trace=None if hides(conversation) else message.trace_id,
    )
