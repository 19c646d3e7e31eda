"""What happens to conversations: a message, its answer as it grows, stop, do again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from apps.accounts.models import User
from apps.chat.models import ChatMessage, Conversation
from apps.deployments import services as deployments
from apps.deployments.models import Deployment
from apps.traces import services as traces
from kos.errors import UserError
from kos.events import RolloutDone, to_json
from kos.harness.loop import Limits, TurnDone, with_system_prompt
from kos.messages import Message
from kos.serving.client import ChatClient

MAX_CHARS = 20_000
TITLE_CHARS = 60
LIMITS = Limits(max_tokens=2048)
# A small model says what it has to say early, and then repeats itself.
DEMONSTRATION_LIMITS = Limits(max_tokens=384)
RESTARTED = "The server was restarted while this answer was written. Ask again."

Status = ChatMessage.Status


class Question(NamedTuple):
    """What an answer needs to be written."""

    conversation_id: int
    messages: list[Message]
    client: ChatClient
    limits: Limits


class Draft(NamedTuple):
    """An answer as far as it is."""

    content: str
    thinking: str
    num_tokens: int
    seconds: float


@transaction.atomic
def begin(owner: User, deployment: Deployment | None, text: str) -> ChatMessage:
    """Make a conversation from its first message; returns the answer that is to be written."""
    title = " ".join(text.split())[:TITLE_CHARS]
    conversation = Conversation.objects.create(owner=owner, deployment=deployment, title=title)
    return add_message(conversation, text)


def add_message(
    conversation: Conversation, text: str, *, deployment: Deployment | None = None
) -> ChatMessage:
    """Add a message and the row of its answer, which is returned with status "writing".

    Raises UserError for an empty or overlong text, a deployment that does not serve, or while
    another answer is being written.
    """
    text = _clean(text).strip()
    if not text:
        raise UserError("The message is empty. Write a question first.")
    if len(text) > MAX_CHARS:
        raise UserError(f"The message has {len(text)} characters; at most {MAX_CHARS} fit.")
    choose(conversation, deployment)
    close_silent(conversation)
    with _one_at_a_time(), transaction.atomic():
        conversation.messages.create(role="user", content=text)
        return _new_answer(conversation)


def regenerate(conversation: Conversation) -> ChatMessage:
    """Put a new answer in the place of the last one."""
    choose(conversation, None)
    close_silent(conversation)
    with _one_at_a_time(), transaction.atomic():
        last = conversation.messages.exclude(status=Status.WRITING).last()
        if last is None:
            raise UserError("There is no message to answer yet.")
        if last.role == "assistant":
            last.delete()
        return _new_answer(conversation)


def choose(conversation: Conversation, deployment: Deployment | None) -> None:
    """Let ``deployment`` (None: the one before) answer from now on; it must be serving."""
    deployment = deployment or conversation.deployment
    if deployment is None or not deployment.is_ready:
        name = deployment.name if deployment else "The model of this conversation"
        raise UserError(f"{name} is not serving any more. Choose a deployment that is ready.")
    if deployment != conversation.deployment:
        conversation.deployment = deployment
        conversation.save(update_fields=["deployment"])


def question_of(answer_id: int) -> Question:
    """The conversation up to the answer, and the model to ask."""
    answer = ChatMessage.objects.select_related(
        "conversation__deployment__run", "conversation__deployment__artifact"
    ).get(pk=answer_id)
    deployment = answer.conversation.deployment
    if deployment is None:
        raise UserError("The model of this conversation is gone. Choose another deployment.")
    before = answer.conversation.messages.filter(pk__lt=answer_id).exclude(content="")
    messages = [
        Message("assistant" if row.role == "assistant" else "user", row.content) for row in before
    ]
    return Question(
        answer.conversation_id,
        messages,
        deployments.client_for(deployment),
        DEMONSTRATION_LIMITS if deployment.is_demonstration else LIMITS,
    )


def keep_draft(answer_id: int, draft: Draft) -> bool:
    """Keep an answer as far as it is; False when it was stopped meanwhile."""
    return _turn(answer_id, Status.WRITING, draft)


def finish(
    answer_id: int,
    status: ChatMessage.Status,
    draft: Draft,
    *,
    flags: Sequence[str] = (),
    error: str = "",
) -> bool:
    """End an answer; False when it was ended before."""
    return _turn(answer_id, status, draft, flags=flags, error=error)


def stop(conversation: Conversation) -> bool:
    """End the answer that is being written, if one is; its process notices."""
    writing = conversation.messages.writing()
    return writing.update(status=Status.STOPPED, touched=Now()) == 1


def close_silent(conversation: Conversation) -> None:
    """End an answer whose process is gone."""
    silent = conversation.messages.silent()
    silent.update(status=Status.FAILED, error=RESTARTED, touched=Now())


def record_trace(answer_id: int, messages: Sequence[Message], done: TurnDone) -> None:
    """Keep a finished answer among the traces of the run that served it."""
    answer = ChatMessage.objects.select_related("conversation__deployment__run").get(pk=answer_id)
    deployment = answer.conversation.deployment
    if deployment is None:
        return
    rollout = RolloutDone(
        model="chat",
        example_id=f"chat-{answer_id}",
        sample=0,
        messages=tuple(
            {"role": message.role, "content": message.content}
            for message in [*with_system_prompt(messages), *done.trail]
        ),
        answer=done.message.content,
        thinking=done.message.thinking,
        raw=done.raw,
        num_tokens=done.num_tokens,
        num_answer_tokens=done.num_answer_tokens,
        stop_reason=done.stop_reason,
        items=(),
        score=None,
        flags=done.flags,
    )
    traces.record(deployment.run, deployment.run.attempt, [to_json(rollout)])


def _new_answer(conversation: Conversation) -> ChatMessage:
    return conversation.messages.create(role="assistant", status=Status.WRITING)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Turns the database's refusal of a second answer into a sentence."""
    try:
        yield
    except IntegrityError as error:
        if "one_answer_at_a_time" not in str(error):
            raise
        raise UserError(
            "An answer is still being written. Wait for it, or stop it first."
        ) from error


def _turn(
    answer_id: int,
    status: ChatMessage.Status,
    draft: Draft,
    *,
    flags: Sequence[str] = (),
    error: str = "",
) -> bool:
    return (
        ChatMessage.objects.writing()
        .filter(pk=answer_id)
        .update(
            status=status,
            content=_clean(draft.content),
            thinking=_clean(draft.thinking),
            num_tokens=draft.num_tokens,
            seconds=draft.seconds,
            flags=[*flags],
            error=error,
            touched=Now(),
        )
        == 1
    )


def _clean(text: str) -> str:
    # PostgreSQL's text holds every character but NUL.
    return text.replace("\x00", "\ufffd")
