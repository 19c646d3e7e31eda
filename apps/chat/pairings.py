"""Two deployments side by side: one message goes to both, and the reader says which is better."""

from __future__ import annotations

import secrets

from django.db import transaction
from django.db.models.functions import Now

from apps.accounts.models import User
from apps.chat import services
from apps.chat.models import ChatMessage, Conversation, Pairing
from apps.deployments.models import Deployment
from kos.errors import UserError

MAX_NOTE = 2000


@transaction.atomic
def begin(
    owner: User,
    deployments: tuple[Deployment, Deployment],
    text: str,
    *,
    is_blind: bool = False,
    is_warned: bool = False,
) -> Pairing:
    """Ask two deployments the same; when blind, chance decides which stands left."""
    if deployments[0] == deployments[1]:
        raise UserError("Choose two different deployments to see side by side.")
    if is_blind and secrets.randbelow(2):
        deployments = deployments[::-1]
    answers = [
        services.begin(owner, deployment, text, is_warned=is_warned) for deployment in deployments
    ]
    left, right = (answer.conversation for answer in answers)
    return Pairing.objects.create(owner=owner, left=left, right=right, is_blind=is_blind)


@transaction.atomic
def add_message(pairing: Pairing, text: str, *, is_warned: bool = False) -> list[ChatMessage]:
    """The next message to both, or to none: raises as ``services.add_message`` does."""
    return [
        services.add_message(conversation, text, is_warned=is_warned)
        for conversation in sides(pairing)
    ]


def answers(pairing: Pairing) -> list[ChatMessage]:
    """The answers that are to be written, the left one first, each with its conversation."""
    writing = ChatMessage.objects.writing().select_related("conversation")
    return [writing.get(conversation=side) for side in sides(pairing)]


def vote(pairing: Pairing, choice: str, *, note: str = "") -> None:
    """Say once which side is better. Raises UserError for a second vote or an unknown choice."""
    if choice not in Pairing.Vote:
        raise UserError(f"There is no vote {choice!r}; known are {', '.join(Pairing.Vote)}.")
    if any(side.messages.writing().exists() for side in sides(pairing)):
        raise UserError("Wait until both answers are finished, then vote.")
    open_ = Pairing.objects.filter(pk=pairing.pk, vote="")
    fields = {"vote": choice, "note": note.strip()[:MAX_NOTE], "voted": Now()}
    if open_.update(**fields) != 1:
        raise UserError("You have voted on these two already.")


def sides(pairing: Pairing) -> tuple[Conversation, Conversation]:
    """The left and the right conversation."""
    return pairing.left, pairing.right
