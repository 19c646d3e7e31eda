"""What readers say of answers. Reasons and the wish for review become flags of the trace."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from apps.accounts.models import User
from apps.chat.models import ChatMessage, Feedback
from apps.traces import services as traces
from apps.traces.models import TraceFlag
from kos.errors import UserError

MAX_NOTE = 2000
REASONS = [
    (value, label) for value, label in TraceFlag.Kind.choices if value != TraceFlag.Kind.REVIEW
]


def judge(message: ChatMessage, user: User, *, is_good: bool) -> Feedback:
    """A thumb up or down; the same one again takes it back."""
    feedback = _of(message, user)
    feedback.is_good = None if feedback.is_good is is_good else is_good
    if feedback.is_good is not False:
        feedback.reasons = []
    return _keep(feedback)


def explain(
    message: ChatMessage, user: User, reasons: Sequence[str], *, note: str = ""
) -> Feedback:
    """Why it is bad. Raises UserError for a reason that is not on the list."""
    known = dict(REASONS)
    if unknown := [reason for reason in reasons if reason not in known]:
        raise UserError(f"There is no reason {unknown[0]!r}; known are {', '.join(known)}.")
    feedback = _of(message, user)
    feedback.reasons, feedback.note = [*reasons], note.strip()[:MAX_NOTE]
    if reasons:
        feedback.is_good = False
    return _keep(feedback)


def say(
    message: ChatMessage,
    user: User,
    is_good: bool | None,
    reasons: Sequence[str] = (),
    *,
    note: str = "",
) -> Feedback:
    """The whole of it at once: the thumb as it shall be, and why. Raises UserError."""
    if reasons:
        return explain(message, user, reasons, note=note)
    feedback = _of(message, user)
    feedback.is_good, feedback.reasons = is_good, []
    feedback.note = note.strip()[:MAX_NOTE]
    return _keep(feedback)


def flag(message: ChatMessage, user: User) -> Feedback:
    """Ask for a review, or take that back."""
    feedback = _of(message, user)
    feedback.is_for_review = not feedback.is_for_review
    return _keep(feedback)


def _of(message: ChatMessage, user: User) -> Feedback:
    if message.role != "assistant" or message.is_writing:
        raise UserError("Only an answer that is finished can be judged.")
    return Feedback.objects.get_or_create(message=message, defaults={"by": user})[0]


def _keep(feedback: Feedback) -> Feedback:
    kinds = [*feedback.reasons]
    if feedback.is_for_review:
        kinds.append(TraceFlag.Kind.REVIEW)
    with transaction.atomic():
        feedback.save(update_fields=["is_good", "reasons", "note", "is_for_review", "touched"])
        if (trace := feedback.message.trace) is not None:
            traces.raise_flags(trace, feedback.by, kinds, note=feedback.note)
    return feedback
