"""One message: read, asked in other words, answered again, judged, followed to its origin."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Field, Schema, Status
from ninja.errors import HttpError

from apps.accounts.auth import user_in
from apps.automation.rest import In
from apps.chat import feedback, origins, services
from apps.chat.api.room import find, find_message, router, start
from apps.chat.api.shapes import (
    ConversationOut,
    MessageOut,
    WordsIn,
    conversation_out,
    hides,
    message_out,
)
from apps.chat.models import Feedback
from apps.traces.api.behind import OriginOut, origin_of
from apps.traces.api.reading import Complaint


class FeedbackIn(In):
    """What is left out stays as it is."""

    is_good: bool | None = None
    reasons: list[Complaint] = Field([], max_length=6)
    note: str = Field("", max_length=feedback.MAX_NOTE)
    is_for_review: bool | None = Field(None, description="Ask people to look at it.")


class FeedbackOut(Schema):
    is_good: bool | None
    reasons: list[str]
    note: str
    is_for_review: bool


@router.get("/messages/{int:pk}", response=MessageOut, summary="One message")
def get_message(request: HttpRequest, pk: int) -> MessageOut:
    """An answer as far as it is written."""
    message = find_message(request, pk)
    services.close_silent(message.conversation)
    message.refresh_from_db(fields=["status", "error"])
    return message_out(message, message.conversation)


@router.post("/messages/{int:pk}/edit", response={201: MessageOut}, summary="Ask in other words")
def edit(request: HttpRequest, pk: int, body: WordsIn) -> Status[MessageOut]:
    """A branch beside this question; the answer to it, which is being written."""
    message = find_message(request, pk)
    answer = services.edit(message.conversation, message, body.text, is_warned=body.is_warned)
    return Status(201, message_out(start(request, answer), message.conversation))


@router.post(
    "/messages/{int:pk}/regenerate", response={201: MessageOut}, summary="Answer once more"
)
def regenerate(request: HttpRequest, pk: int) -> Status[MessageOut]:
    """Another answer beside this one, which is being written."""
    message = find_message(request, pk)
    answer = services.regenerate(message.conversation, message)
    return Status(201, message_out(start(request, answer), message.conversation))


@router.post("/messages/{int:pk}/show", response=ConversationOut, summary="Show another branch")
def show(request: HttpRequest, pk: int) -> ConversationOut:
    """The newest branch through this message is the one that is read and goes on."""
    message = find_message(request, pk)
    services.show(message.conversation, message)
    return conversation_out(find(request, message.conversation_id))


@router.get("/messages/{int:pk}/origin", response=OriginOut, summary="Where an answer comes from")
def get_origin(request: HttpRequest, pk: int) -> dict[str, Any]:
    """The deployment, the models behind it, the runs that made them, and their data."""
    message = find_message(request, pk)
    if message.role != "assistant" or hides(message.conversation):
        raise HttpError(404, "only an answer has an origin, and a blind one after the vote")
    return origin_of(origins.trace_of(message))


@router.put("/messages/{int:pk}/feedback", response=FeedbackOut, summary="Judge an answer")
def give_feedback(request: HttpRequest, pk: int, body: FeedbackIn) -> Feedback:
    """A thumb, why it is bad, and whether people shall look at it."""
    message, user = find_message(request, pk), user_in(request)
    found = feedback.say(message, user, body.is_good, body.reasons, note=body.note)
    if body.is_for_review is not None and body.is_for_review != found.is_for_review:
        found = feedback.flag(message, user)
    return found
