"""The calls of conversations, how one finds what is one's own, and how an answer begins."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja.errors import HttpError

from apps.accounts.auth import user_in
from apps.accounts.models import Scope
from apps.automation.rest import Room
from apps.chat import answers, services
from apps.chat.models import ChatMessage, Conversation, ConversationQuerySet
from apps.deployments.models import Deployment

router = Room("chat", reading=Scope.CHAT_READ, writing=Scope.CHAT_WRITE)
SIDES = ("pairing_left", "pairing_right")


def mine(request: HttpRequest) -> ConversationQuerySet:
    """The caller's own conversations."""
    return Conversation.objects.visible_to(user_in(request)).select_related(*SIDES)


def find(request: HttpRequest, pk: int) -> Conversation:
    """A conversation of the caller's, or 404."""
    return get_object_or_404(mine(request).select_related("deployment"), pk=pk)


def find_message(request: HttpRequest, pk: int) -> ChatMessage:
    """A message of the caller's, or 404."""
    sides = [f"conversation__{side}" for side in SIDES]
    found = ChatMessage.objects.select_related(
        "conversation__deployment", "deployment", "trace", "feedback", *sides
    )
    return get_object_or_404(found, pk=pk, conversation__in=mine(request))


def ready(pk: int | None) -> Deployment | None:
    """The ready deployment that a body names; None where it names none."""
    return get_object_or_404(Deployment.objects.ready(), pk=pk) if pk is not None else None


def newest_ready() -> Deployment:
    """The deployment that answers who names none; 409 without one."""
    found = Deployment.objects.ready().first()
    if found is None:
        raise HttpError(409, "no deployment is ready; start one first")
    return found


def start(request: HttpRequest, answer: ChatMessage) -> ChatMessage:
    """Write the answer in the server's event loop; where there is none, here and now."""
    write = answers.start if isinstance(request, ASGIRequest) else answers.start_and_wait
    async_to_sync(write)(answer)
    answer.refresh_from_db()
    return answer


def stop(request: HttpRequest, conversation: Conversation) -> None:
    """End the answer that is being written, if one is."""
    if isinstance(request, ASGIRequest):
        async_to_sync(answers.stop)(conversation)
    else:
        services.stop(conversation)
