"""Links by which others read a conversation: they end, can be revoked, and name nobody."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from apps.chat.models import Conversation, Share
from kos.errors import UserError

DAYS = (1, 7, 30, 90)


def share(conversation: Conversation, *, days: int = 7, shows_model: bool = False) -> Share:
    """A link to the branch that is shown, as it stands now. What is written later is not in it."""
    if days not in DAYS:
        raise UserError(f"A link lasts {', '.join(map(str, DAYS))} days; {days} is none of these.")
    if conversation.pairing is not None and conversation.pairing.hides_names:
        raise UserError("Vote first: a link would give away which model is which.")
    conversation.refresh_from_db(fields=["leaf"])
    if conversation.leaf_id is None or conversation.messages.writing().exists():
        raise UserError("There is no finished answer to share yet.")
    return Share.objects.create(
        conversation=conversation,
        leaf_id=conversation.leaf_id,
        shows_model=shows_model,
        expires=timezone.now() + timedelta(days=days),
    )


def revoke(conversation: Conversation, pk: int) -> bool:
    """End a link at once; False when it had ended before."""
    shares = conversation.shares.filter(pk=pk, revoked=None)
    return shares.update(revoked=timezone.now()) == 1
