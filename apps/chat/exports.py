"""A conversation as a file: Markdown of the branch that is shown, or JSON of all branches."""

from __future__ import annotations

from typing import Any

from apps.chat import services
from apps.chat.models import ChatMessage, Conversation, Feedback
from apps.chat.reading import Shown, shown_path
from kos.errors import UserError

NOTICE = "Kos is a research tool. Nothing in this file is fit for the care of a patient."


def to_markdown(conversation: Conversation) -> str:
    """What is on the page, with the sources below each answer."""
    _refuse_while_blind(conversation)
    parts = [f"# {conversation.title}", f"> {NOTICE}"]
    for shown in shown_path(conversation):
        parts += _turn(shown)
    return "\n\n".join(parts) + "\n"


def to_json(conversation: Conversation) -> dict[str, Any]:
    """Every message of every branch with its records and what the reader said of it."""
    _refuse_while_blind(conversation)
    tree = services.tree_of(conversation)
    return {
        "notice": NOTICE,
        "title": conversation.title,
        "created": conversation.created.isoformat(),
        "shown": [message.pk for message in tree.path(conversation.leaf_id)],
        "messages": [_row(message) for message in tree.messages.values()],
    }


def _refuse_while_blind(conversation: Conversation) -> None:
    if conversation.pairing is not None and conversation.pairing.hides_names:
        raise UserError("Vote first: the file would give away which model is which.")


def _turn(shown: Shown) -> list[str]:
    message = shown.message
    if message.role == "user":
        return ["## Question", message.content]
    name = f" of {shown.model_name}" if shown.model_name else ""
    parts = [f"## Answer{name}", message.content or "(empty)"]
    if message.status != ChatMessage.Status.DONE:
        parts.append(f"*{message.get_status_display()}. {message.error}*".replace(" *", "*"))
    if calls := [_call(call.name, call.query, call.mode) for call in shown.calls]:
        parts.append("\n".join(["Looked up:", "", *calls]))
    if notes := [_footnote(note.source) for note in shown.footnotes if note.is_cited]:
        parts.append("\n".join(["Sources:", "", *notes]))
    return parts


def _call(name: str, query: str, mode: str) -> str:
    return f"- {name}: {query} ({mode or 'failed'})"


def _footnote(source: dict[str, Any]) -> str:
    origin = source["provenance"]
    known = [
        source["title"],
        source["url"],
        f"{origin['provider']}, {origin['mode']}",
        *(origin.get(name, "") for name in ("data_version", "licence", "attribution")),
    ]
    return f"- [{source['id']}] " + ". ".join(part for part in known if part)


def _row(message: ChatMessage) -> dict[str, Any]:
    return {
        "id": message.pk,
        "parent": message.parent_id,
        "role": message.role,
        "content": message.content,
        "thinking": message.thinking,
        "status": message.status,
        "error": message.error,
        "model": message.deployment.name if message.deployment else "",
        "flags": message.flags,
        "tools": message.tools,
        "sources": message.sources,
        "versions": message.versions,
        "identifiers": message.identifiers,
        "trace": message.trace_id,
        "num_tokens": message.num_tokens,
        "seconds": message.seconds,
        "created": message.created.isoformat(),
        "feedback": _feedback(message),
    }


def _feedback(message: ChatMessage) -> dict[str, Any] | None:
    found: Feedback | None = getattr(message, "feedback", None)
    if found is None:
        return None
    return {
        "is_good": found.is_good,
        "reasons": found.reasons,
        "note": found.note,
        "is_for_review": found.is_for_review,
    }
