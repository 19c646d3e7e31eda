"""What happens to conversations: a message, its answer as it grows, stop, branches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from apps.accounts.models import User
from apps.chat.models import ChatMessage, Conversation
from apps.chat.tree import Tree
from apps.deployments import limits
from apps.deployments.harness import harness_of
from apps.deployments.models import Deployment
from apps.traces.services import clean
from kos.chat import identifiers
from kos.errors import UserError
from kos.harness import citations
from kos.harness.loop import Harness
from kos.messages import Message, Source

MAX_CHARS = 20_000
TITLE_CHARS = 60
MAX_TITLE = 120
RESTARTED = "The server was restarted while this answer was written. Ask again."

Status = ChatMessage.Status


class IdentifiersError(UserError):
    """The text looks as if it tells who a patient is; ``found`` says what and where."""

    def __init__(self, found: Sequence[identifiers.Identifier]) -> None:
        self.found = tuple(found)
        super().__init__("This may tell who a patient is. Take it out, or send it anyway.")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.found,)


class Question(NamedTuple):
    """What an answer needs to be written."""

    conversation_id: int
    messages: list[Message]
    harness: Harness
    earlier: list[Source]


class Draft(NamedTuple):
    """An answer as far as it is. ``tools`` and ``sources`` are records as JSON.

    ``epoch`` grows when what was shown is void: a turn drawn again, or text before a call.
    """

    content: str
    thinking: str
    num_tokens: int
    seconds: float
    tools: Sequence[dict[str, Any]] = ()
    sources: Sequence[dict[str, Any]] = ()
    epoch: int = 0


@transaction.atomic
def begin(
    owner: User, deployment: Deployment | None, text: str, *, is_warned: bool = False
) -> ChatMessage:
    """Make a conversation from its first message; returns the answer that is to be written."""
    title = " ".join(clean(text).split())[:TITLE_CHARS]
    conversation = Conversation.objects.create(owner=owner, deployment=deployment, title=title)
    return add_message(conversation, text, is_warned=is_warned)


def add_message(
    conversation: Conversation,
    text: str,
    *,
    deployment: Deployment | None = None,
    is_warned: bool = False,
) -> ChatMessage:
    """Add a message and the row of its answer, which is returned with status "writing".

    Raises UserError for an empty or overlong text, a deployment that does not serve, while
    another answer is being written, or (FullError) when this process writes as many as it may;
    IdentifiersError unless the reader ``is_warned`` of them.
    """
    conversation.refresh_from_db(fields=["leaf"])
    return _ask(conversation, text, conversation.leaf_id, deployment, is_warned=is_warned)


def edit(
    conversation: Conversation, message: ChatMessage, text: str, *, is_warned: bool = False
) -> ChatMessage:
    """Ask in other words: a branch beside ``message``. Raises as ``add_message`` does."""
    if message.role != "user":
        raise UserError("Only a message of yours can be edited.")
    return _ask(conversation, text, message.parent_id, None, is_warned=is_warned)


def regenerate(conversation: Conversation, answer: ChatMessage | None = None) -> ChatMessage:
    """Write another answer beside ``answer`` (None: the last one of the branch shown)."""
    choose(conversation, None)
    close_silent(conversation)
    at = answer or _last(conversation)
    if at is None:
        raise UserError("There is no message to answer yet.")
    with _one_at_a_time(), transaction.atomic():
        return _new_answer(conversation, at.parent_id if at.role == "assistant" else at.pk)


def show(conversation: Conversation, message: ChatMessage) -> None:
    """Let the newest branch through ``message`` be the one that is shown and goes on."""
    close_silent(conversation)
    if conversation.messages.writing().exists():
        raise UserError("An answer is still being written. Wait for it, or stop it first.")
    _set_leaf(conversation, tree_of(conversation).end(message.pk))


def rename(conversation: Conversation, title: str) -> None:
    """Call a conversation otherwise. Raises UserError for a title of blanks."""
    title = " ".join(clean(title).split())[:MAX_TITLE]
    if not title:
        raise UserError("A title needs a letter or two.")
    conversation.title = title
    conversation.save(update_fields=["title"])


def both_sides(conversation: Conversation) -> tuple[Conversation, ...]:
    """The conversation, and the one beside it where two are compared."""
    pairing = conversation.pairing
    return (conversation,) if pairing is None else (pairing.left, pairing.right)


@transaction.atomic
def delete(conversation: Conversation) -> None:
    """Delete a conversation for good, and the one beside it; stop their answers before.

    Traces of the answers stay with the records.
    """
    for side in both_sides(conversation):
        side.delete()


def tree_of(conversation: Conversation) -> Tree:
    """All messages of a conversation, and what pages show with them."""
    rows = conversation.messages.select_related("deployment", "feedback", "trace").defer(
        *("search", "trace__messages", "trace__raw", "trace__turns", "trace__tools"),
        *("trace__sources", "trace__search", "trace__thinking", "trace__answer"),
    )
    return Tree(rows)


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
    """The branch up to the answer, and the harness to ask."""
    answer = ChatMessage.objects.select_related(
        "conversation__owner", "deployment__run", "deployment__artifact"
    ).get(pk=answer_id)
    if answer.deployment is None:
        raise UserError("The model of this conversation is gone. Choose another deployment.")
    before = Tree(answer.conversation.messages.all()).path(answer_id)[:-1]
    harness = harness_of(answer.deployment, user=answer.conversation.owner)
    messages = [message for row in before if (message := _said(row)).content]
    return Question(answer.conversation_id, messages, harness, _sources(before))


def keep_draft(answer_id: int, draft: Draft, *, with_tools: bool = False) -> bool:
    """Keep an answer as far as it is; False when it was stopped meanwhile."""
    fields = _spoken(draft) | (_looked_up(draft) if with_tools else {})
    return _turn(answer_id, {"status": Status.WRITING} | fields)


def finish(
    answer_id: int,
    status: ChatMessage.Status,
    draft: Draft,
    *,
    flags: Sequence[str] = (),
    error: str = "",
    versions: dict[str, str] | None = None,
) -> bool:
    """End an answer; False when it was ended before."""
    ending = {"status": status, "flags": [*flags], "error": error, "versions": versions or {}}
    return _turn(answer_id, ending | _spoken(draft) | _looked_up(draft))


def stop(conversation: Conversation) -> bool:
    """End the answer that is being written, if one is; its process notices."""
    writing = conversation.messages.writing()
    return writing.update(status=Status.STOPPED, touched=Now()) == 1


def close_silent(conversation: Conversation) -> None:
    """End an answer whose process is gone."""
    silent = conversation.messages.silent()
    silent.update(status=Status.FAILED, error=RESTARTED, touched=Now())


def _said(row: ChatMessage) -> Message:
    """A message as the model reads it again: without citations of what nobody found."""
    if row.role != "assistant":
        return Message("user", row.content)
    book = citations.SourceBook.open(_sources([row]))
    return Message("assistant", citations.check(row.content, book).answer)


def _sources(rows: Sequence[ChatMessage]) -> list[Source]:
    """What the answers of these rows rest on, each once: numbers go on through a conversation."""
    found = {source["id"]: Source(**source) for row in rows for source in row.sources}
    return [*found.values()]


def _ask(
    conversation: Conversation,
    text: str,
    parent_id: int | None,
    deployment: Deployment | None,
    *,
    is_warned: bool,
) -> ChatMessage:
    text, kinds = check(text, is_warned=is_warned)
    choose(conversation, deployment)
    close_silent(conversation)
    with _one_at_a_time(), transaction.atomic():
        asked = conversation.messages.create(
            role="user", content=text, parent_id=parent_id, identifiers=kinds
        )
        return _new_answer(conversation, asked.pk)


def check(text: str, *, is_warned: bool) -> tuple[str, list[str]]:
    """The text as it may be sent, and the kinds of identifiers it is sent with."""
    text = clean(text).strip()
    if not text:
        raise UserError("The message is empty. Write a question first.")
    if len(text) > MAX_CHARS:
        raise UserError(f"The message has {len(text)} characters; at most {MAX_CHARS} fit.")
    found = identifiers.find(text)
    if found and not is_warned:
        raise IdentifiersError(found)
    return text, sorted({one.kind for one in found})


def _new_answer(conversation: Conversation, parent_id: int | None) -> ChatMessage:
    limits.ANSWERS.check(conversation.owner_id)
    answer = conversation.messages.create(
        role="assistant",
        status=Status.WRITING,
        parent_id=parent_id,
        deployment=conversation.deployment,
    )
    _set_leaf(conversation, answer.pk)
    return answer


def _set_leaf(conversation: Conversation, pk: int) -> None:
    conversation.leaf_id = pk
    conversation.save(update_fields=["leaf"])


def _last(conversation: Conversation) -> ChatMessage | None:
    conversation.refresh_from_db(fields=["leaf"])
    path = Tree(conversation.messages.all()).path(conversation.leaf_id)
    return path[-1] if path else None


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


def _spoken(draft: Draft) -> dict[str, Any]:
    return {
        "content": clean(draft.content),
        "thinking": clean(draft.thinking),
        "num_tokens": draft.num_tokens,
        "seconds": draft.seconds,
    }


def _looked_up(draft: Draft) -> dict[str, Any]:
    return {"tools": clean([*draft.tools]), "sources": clean([*draft.sources])}


def _turn(answer_id: int, fields: dict[str, Any]) -> bool:
    writing = ChatMessage.objects.writing().filter(pk=answer_id)
    return writing.update(**fields, touched=Now()) == 1
