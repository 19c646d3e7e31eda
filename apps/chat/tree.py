"""A conversation's messages as a tree, and the one branch of it that a page shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from apps.chat.models import ChatMessage


class Tree:
    """The messages of one conversation."""

    def __init__(self, messages: Iterable[ChatMessage]) -> None:
        self.messages = {message.pk: message for message in messages}
        self.children: dict[int | None, list[int]] = defaultdict(list)
        for message in self.messages.values():
            self.children[message.parent_id].append(message.pk)

    def path(self, leaf: int | None) -> list[ChatMessage]:
        """From the first message to ``leaf``; None ends at the newest message."""
        at = leaf if leaf in self.messages else max(self.messages, default=None)
        found: list[ChatMessage] = []
        while at is not None:
            message = self.messages[at]
            found.append(message)
            at = message.parent_id
        return found[::-1]

    def siblings(self, message: ChatMessage) -> list[int]:
        """The message and what stands in its place on other branches, oldest first."""
        return self.children[message.parent_id]

    def end(self, pk: int) -> int:
        """The last message of the newest branch below ``pk``."""
        while self.children[pk]:
            pk = self.children[pk][-1]
        return pk
