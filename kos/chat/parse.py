"""From the model's raw text to thinking and answer, streaming, without losing a character.

Every ``<think>`` and ``</think>`` is a marker: the first opens the thinking, the second ends
it. Thinking, answer and markers, joined in order, are exactly the raw text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

OPEN = "<think>"
CLOSE = "</think>"

Channel = Literal["thinking", "answer", "marker"]


class Piece(NamedTuple):
    """Some characters of the raw text, and where they belong."""

    channel: Channel
    text: str


class Parsed(NamedTuple):
    """A whole turn. ``thinking`` and ``answer`` are without outer white space.

    ``flags`` are ``think_leak`` (a close without an open, or thinking that starts again inside
    the answer) and ``unclosed_think`` (the text ends while thinking).
    """

    thinking: str
    answer: str
    flags: tuple[str, ...]


@dataclass
class StreamParser:
    """Sorts text into thinking and answer as it arrives.

    The pieces of one channel, joined, are the same for every way of cutting the text. A suffix
    that may be the beginning of a marker (at most 7 characters) waits for the next call.
    ``starts_thinking`` is for templates whose prompt ends with ``<think>`` (Kimi K2.5).
    """

    starts_thinking: bool = False
    flags: list[str] = field(default_factory=list)
    _held: str = ""
    _channel: Channel = "answer"
    _has_answered: bool = False

    def __post_init__(self) -> None:
        """Begin in the channel the prompt ends in."""
        if self.starts_thinking:
            self._channel = "thinking"

    def feed(self, text: str) -> list[Piece]:
        """Take some more of the raw text and return what is settled."""
        text = self._held + text
        pieces: list[Piece] = []
        while (found := _first_marker(text)) is not None:
            before, marker, text = text.partition(found)
            pieces += self._plain(before)
            pieces.append(Piece("marker", marker))
            self._turn(marker)
        cut = len(text) - _held_back(text)
        self._held = text[cut:]
        return pieces + self._plain(text[:cut])

    def close(self) -> list[Piece]:
        """End the turn: what was held back turns out to be plain text."""
        pieces = self._plain(self._held)
        self._held = ""
        if self._channel == "thinking":
            self._flag("unclosed_think")
        return pieces

    def _plain(self, text: str) -> list[Piece]:
        if self._channel == "answer" and text.strip():
            self._has_answered = True
        return [Piece(self._channel, text)] if text else []

    def _turn(self, marker: str) -> None:
        if self._channel == "answer" and (marker == CLOSE or self._has_answered):
            self._flag("think_leak")
        self._channel = "thinking" if marker == OPEN else "answer"

    def _flag(self, flag: str) -> None:
        if flag not in self.flags:
            self.flags.append(flag)


def split_thinking(raw: str, *, starts_thinking: bool = False) -> Parsed:
    """Sort a whole turn into thinking and answer."""
    parser = StreamParser(starts_thinking=starts_thinking)
    pieces = parser.feed(raw) + parser.close()
    thinking, answer = (
        "".join(piece.text for piece in pieces if piece.channel == channel).strip()
        for channel in ("thinking", "answer")
    )
    return Parsed(thinking, answer, tuple(parser.flags))


def _first_marker(text: str) -> str | None:
    places = [(text.find(marker), marker) for marker in (OPEN, CLOSE) if marker in text]
    return min(places)[1] if places else None


def _held_back(text: str) -> int:
    """Length of the longest suffix that more text could turn into a marker."""
    for size in range(min(len(text), len(CLOSE) - 1), 0, -1):
        if OPEN.startswith(text[-size:]) or CLOSE.startswith(text[-size:]):
            return size
    return 0
