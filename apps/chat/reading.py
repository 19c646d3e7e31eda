"""Messages as pages show them: text with its footnotes, tool cards, branches, what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

from django.contrib.postgres.search import SearchHeadline, SearchQuery
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from apps.chat import feedback, markdown, services
from apps.chat.models import ChatMessage, Conversation, Share
from apps.chat.tree import Tree
from apps.traces import reading
from apps.traces.reading import Call

WARNINGS = {
    "think_leak": "Thinking may have leaked into this answer.",
    "unclosed_think": "The model was still thinking when it stopped.",
    "unclosed_call": "A tool call was not finished.",
    "repetition": "The answer repeats itself.",
    "truncated": "The answer was cut at its longest length.",
    "empty": "The model gave no answer.",
    "no_final": "The model kept calling tools and gave no final answer.",
    "unsupported_url": "This answer names an address that no tool brought back.",
    "identifiers": "The question may tell who a patient is.",
}
# Where a found word begins and ends: characters that PostgreSQL passes on and nobody types.
START, STOP = "\ue000", "\ue001"
# What marks data that only shows how Kos works.
DEMONSTRATION = ("demonstration", "kos sample")


class Footnote(NamedTuple):
    """A source below an answer."""

    source: dict[str, Any]
    address: str
    is_cited: bool

    @property
    def is_demonstration(self) -> bool:
        return is_demonstration(self.source)


class Branches(NamedTuple):
    """Which of several messages in one place this is, and its neighbours."""

    place: int
    number: int
    earlier: int | None
    later: int | None


@dataclass(frozen=True)
class Shown:
    """A message with what a page needs of it. A shared page can only read (``is_own`` False)."""

    message: ChatMessage
    tree: Tree
    address: Callable[[str], str]
    is_own: bool = True
    is_paired: bool = False
    hides_name: bool = False

    @property
    def html(self) -> SafeString:
        """The answer as it may stand in a page."""
        return markdown.render(self.message.content, self.cited)

    @property
    def cited(self) -> markdown.Cited:
        return markdown.Cited({source["id"] for source in self.message.sources}, self.address)

    @property
    def calls(self) -> list[Call]:
        return reading.calls(self.message.tools)

    @property
    def calls_id(self) -> str:
        """What the ids of its tool cards begin with."""
        return f"call-{self.message.pk}"

    @cached_property
    def footnotes(self) -> list[Footnote]:
        """Sources: the cited ones in the order of the text, then what else this answer read."""
        named = markdown.citations(self.message.content)
        sources = {source["id"]: source for source in self.message.sources}
        read = {name for tool in self.message.tools for name in tool.get("sources", ())}
        order = [name for name in named if name in sources]
        order += [name for name in sources if name in read and name not in named]
        return [Footnote(sources[name], self.address(name), name in named) for name in order]

    @property
    def num_cited(self) -> int:
        return sum(note.is_cited for note in self.footnotes)

    @property
    def unknown(self) -> list[str]:
        """Ids that the answer cites and nothing was retrieved under."""
        known = {source["id"] for source in self.message.sources}
        return [name for name in markdown.citations(self.message.content) if name not in known]

    @property
    def has_demonstration(self) -> bool:
        return any(note.is_demonstration for note in self.footnotes)

    @property
    def warnings(self) -> list[str]:
        # Unknown citations are marked where they stand.
        flags = [flag for flag in self.message.flags if flag != "unknown_citation"]
        return [WARNINGS.get(flag, flag) for flag in flags]

    @property
    def branches(self) -> Branches | None:
        siblings = self.tree.siblings(self.message)
        if len(siblings) < 2:
            return None
        place = siblings.index(self.message.pk)
        return Branches(
            place + 1,
            len(siblings),
            siblings[place - 1] if place else None,
            siblings[place + 1] if place + 1 < len(siblings) else None,
        )

    @property
    def model_name(self) -> str:
        return "" if self.hides_name else getattr(self.message.deployment, "name", "")

    @property
    def can_edit(self) -> bool:
        return self.is_own and not self.is_paired and self.message.role == "user"

    @property
    def reasons(self) -> list[tuple[str, str]]:
        return feedback.REASONS


def shown_path(conversation: Conversation) -> list[Shown]:
    """The branch that a conversation's page shows."""
    tree = services.tree_of(conversation)
    pairing = conversation.pairing
    return [
        Shown(
            message,
            tree,
            partial(_address, conversation.pk, message.pk),
            is_paired=pairing is not None,
            hides_name=pairing is not None and pairing.hides_names,
        )
        for message in tree.path(conversation.leaf_id)
    ]


def shared_path(share: Share) -> list[Shown]:
    """The branch that a link shows, as it was when it was made."""
    tree = services.tree_of(share.conversation)
    return [
        Shown(
            message,
            tree,
            partial(_shared_address, share.token, message.pk),
            is_own=False,
            hides_name=not share.shows_model,
        )
        for message in tree.path(share.leaf_id)
    ]


def is_demonstration(source: dict[str, Any]) -> bool:
    """Whether a passage is sample data, by what its provenance says."""
    origin = source["provenance"]
    words = " ".join(
        str(origin.get(name, ""))
        for name in ("provider", "data_version", "licence", "attribution")
    ).lower()
    return any(word in words for word in DEMONSTRATION)


def snippets(conversations: Iterable[Conversation], words: str) -> dict[int, SafeString]:
    """Where the words were found, by conversation, with the words marked."""
    headline = SearchHeadline(
        "content",
        SearchQuery(words, config="english", search_type="websearch"),
        config="english",
        start_sel=START,
        stop_sel=STOP,
        max_words=24,
        min_words=8,
    )
    found = (
        ChatMessage.objects.search(words)
        .filter(conversation__in=[one.pk for one in conversations])
        .order_by("conversation", "-pk")
        .distinct("conversation")
    )
    pairs = found.annotate(headline=headline).values_list("conversation", "headline")
    return {pk: _marked(text) for pk, text in pairs}


def _marked(text: str) -> SafeString:
    html = str(escape(text)).replace(START, "<mark>").replace(STOP, "</mark>")
    return mark_safe(html)  # noqa: S308  # escaped above; the marks are ours


def _address(conversation: int, message: int, name: str) -> str:
    return reverse("chat:source", args=[conversation, message, name])


def _shared_address(token: str, message: int, name: str) -> str:
    return reverse("chat:shared_source", args=[token, message, name])
