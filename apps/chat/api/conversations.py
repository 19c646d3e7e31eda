"""Conversations: begun, found, read, called otherwise, deleted, kept as files."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Status

from apps.accounts.auth import user_in
from apps.automation.paging import Page, Paging, page, shown, slice_page
from apps.automation.rest import Id, In
from apps.chat import exports, services
from apps.chat.api import room
from apps.chat.api.room import find, mine, newest_ready, ready, router, start
from apps.chat.api.shapes import (
    MOST_CHARS,
    ConversationOut,
    MessageIn,
    MessageOut,
    conversation_out,
    message_out,
)

MARKDOWN = {"text/markdown": {"schema": {"type": "string"}}}


class ConversationWanted(Paging):
    q: str = Field("", max_length=200, description="Words in a message or the title.")


class ConversationPatch(In):
    """What is left out stays as it is."""

    title: str | None = Field(None, min_length=1, max_length=120)


class MessagesWanted(Paging):
    branch: bool = Field(True, description="Only the branch that is shown; else all of them.")


class BeginIn(In):
    """The first message makes the conversation."""

    text: str = Field(min_length=1, max_length=MOST_CHARS)
    deployment: Id | None = Field(None, description="Empty: the newest that is ready.")
    is_warned: bool = Field(False, description="Send what looks like patient identifiers.")


@router.get("/", response=Page[ConversationOut], summary="My conversations, newest first")
def list_(request: HttpRequest, wanted: Query[ConversationWanted]) -> dict[str, Any]:
    """Of two side by side the left one stands for both."""
    found = mine(request).listed()
    if wanted.q:
        found = found.search(wanted.q)
    return shown(page(found, cursor=wanted.cursor, limit=wanted.limit), conversation_out)


@router.post("/", response={201: MessageOut}, summary="Begin a conversation")
def begin(request: HttpRequest, body: BeginIn) -> Status[MessageOut]:
    """Its answer, which is being written: stream it, or read it until its status is `done`."""
    chosen = ready(body.deployment) or newest_ready()
    answer = services.begin(user_in(request), chosen, body.text, is_warned=body.is_warned)
    return Status(201, message_out(start(request, answer), answer.conversation))


@router.get("/{int:pk}", response=ConversationOut, summary="One conversation")
def get(request: HttpRequest, pk: int) -> ConversationOut:
    return conversation_out(find(request, pk))


@router.patch("/{int:pk}", response=ConversationOut, summary="Call a conversation otherwise")
def update(request: HttpRequest, pk: int, body: ConversationPatch) -> ConversationOut:
    conversation = find(request, pk)
    if body.title is not None:
        services.rename(conversation, body.title)
    return conversation_out(conversation)


@router.delete("/{int:pk}", response={204: None}, summary="Delete a conversation")
def delete(request: HttpRequest, pk: int) -> Status[None]:
    """For good, with its links and the one beside it; traces of its answers stay."""
    conversation = find(request, pk)
    for side in services.both_sides(conversation):
        room.stop(request, side)
    services.delete(conversation)
    return Status(204, None)


@router.get("/{int:pk}/messages", response=Page[MessageOut], summary="What was said")
def list_messages(request: HttpRequest, pk: int, wanted: Query[MessagesWanted]) -> dict[str, Any]:
    """Oldest first."""
    conversation = find(request, pk)
    place: dict[str, Any] = {"cursor": wanted.cursor, "limit": wanted.limit}
    if wanted.branch:
        path = services.tree_of(conversation).path(conversation.leaf_id)
        found = slice_page(path, **place, key=f"messages:{pk}")
    else:
        found = page(conversation.messages.all(), **place, key="pk")
    return shown(found, lambda message: message_out(message, conversation))


@router.post("/{int:pk}/messages", response={201: MessageOut}, summary="Ask on")
def send(request: HttpRequest, pk: int, body: MessageIn) -> Status[MessageOut]:
    """The answer, which is being written. 409 while another one is."""
    conversation = find(request, pk)
    chosen = ready(body.deployment)
    answer = services.add_message(
        conversation, body.text, deployment=chosen, is_warned=body.is_warned
    )
    return Status(201, message_out(start(request, answer), conversation))


@router.post("/{int:pk}/stop", response={204: None}, summary="End the answer that is written")
def stop(request: HttpRequest, pk: int) -> Status[None]:
    room.stop(request, find(request, pk))
    return Status(204, None)


@router.get(
    "/{int:pk}/export",
    response={200: dict[str, Any], 409: None},
    summary="A conversation as a file",
)
def export(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Every branch, with what was looked up and what you said of it."""
    return exports.to_json(find(request, pk))


@router.get(
    "/{int:pk}/export.md",
    response={200: None, 409: None},
    summary="A conversation as Markdown",
    openapi_extra={"responses": {200: {"content": MARKDOWN}}},
)
def export_markdown(request: HttpRequest, pk: int) -> HttpResponse:
    """The branch that is shown, with the sources below each answer."""
    text = exports.to_markdown(find(request, pk))
    return HttpResponse(text, content_type="text/markdown; charset=utf-8")
