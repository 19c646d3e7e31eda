"""From the model's raw text to thinking, answer and calls, streaming, without losing a character.

The pieces that come out, joined in order, are exactly the raw text; cut the text anywhere and
they are the same. What is out of order is read where that needs no guess, and always flagged:
the rates of the flags are what tells a broken model from a sound one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kos.chat.calls import CallReader, ParsedCall
from kos.chat.syntax import KIMI, THINKING_ONLY, Kind, State, Syntax

MAX_CHARS = 400_000

Channel = Literal["thinking", "answer", "call", "cut", "marker"]
# A generation that stopped by itself; a call left open then is taken as whole if it can be read.
_WHOLE = ("", "stop", "tool_calls")
# Of text that repeats itself to the end, one period is kept; no longer periods are looked for.
_MAX_PERIOD_CHARS = 200
_MIN_REPEATS = 3


class Piece(NamedTuple):
    """Some characters of the raw text, and where they belong.

    ``call`` is the text of calls and what stands between them; ``cut`` what follows a control
    token in the answer, which no reader shall see.
    """

    channel: Channel
    text: str


@dataclass(frozen=True)
class ParsedTurn:
    """A whole turn. ``reasoning`` and ``content`` are without outer white space.

    ``content`` is all that was said outside thinking and calls, ``shown`` what of it a reader
    sees: it ends at a leaked control token. ``tail`` are the last pieces, which had waited for
    more text. ``flags`` are in the order in which they were found.
    """

    reasoning: str
    content: str
    calls: tuple[ParsedCall, ...]
    flags: tuple[str, ...]
    raw: str
    shown: str
    tail: tuple[Piece, ...] = ()


class Parsed(NamedTuple):
    """Thinking and answer of a turn without tools, without outer white space.

    ``flags`` are ``think_leak`` (a close without an open, or thinking that starts again inside
    the answer) and ``unclosed_think`` (the text ends while thinking).
    """

    thinking: str
    answer: str
    flags: tuple[str, ...]


_CHANNELS: Mapping[State, Channel] = {
    "thinking": "thinking",
    "answer": "answer",
    "section": "call",
    "header": "call",
    "arguments": "call",
    "cut": "cut",
}


class TurnParser:
    """Sorts one turn into thinking, answer and calls as it arrives.

    ``schemas`` has the parameters of each tool that may be called, ``used`` the ids of earlier
    calls. ``starts_thinking`` is for prompts that end with ``<think>``; ``may_open`` says that
    a first ``<think>`` is in order when they do not.
    """

    def __init__(
        self,
        syntax: Syntax,
        schemas: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        starts_thinking: bool = False,
        may_open: bool = True,
        used: Collection[str] = (),
    ) -> None:
        self._syntax = syntax
        self._reader = CallReader(schemas or {}, used)
        self._state: State = "thinking" if starts_thinking else "answer"
        self._may_open = may_open and not starts_thinking
        self._held = ""
        self._raw: list[str] = []
        self._num_chars = 0
        self._texts: dict[State, list[str]] = {state: [] for state in _CHANNELS}
        self._num_sections = 0
        self._is_in_section = False
        self._has_loose_call = False

    @property
    def calls(self) -> tuple[ParsedCall, ...]:
        """The calls that are over; each is final."""
        return tuple(self._reader.calls)

    @property
    def flags(self) -> tuple[str, ...]:
        """What is out of order so far."""
        return tuple(self._reader.flags)

    def feed(self, text: str) -> list[Piece]:
        """Take some more of the raw text and return what is settled.

        A suffix that may be the beginning of a marker (30 characters at most) waits. What lies
        beyond ``MAX_CHARS`` is passed on unread.
        """
        self._raw.append(text)
        room = MAX_CHARS - self._num_chars
        self._num_chars += len(text)
        if len(text) <= room:
            return [*self._scan(self._held + text)]
        within, beyond = text[: max(room, 0)], text[max(room, 0) :]
        pieces = [*self._scan(self._held + within), *self._release()]
        self._flag("too_long")
        return [*pieces, Piece("cut", beyond)]

    def close(self, finish_reason: str = "stop") -> ParsedTurn:
        """End the turn. ``finish_reason`` is the server's: stop, length, repetition, …"""
        tail = tuple(self._release())
        is_whole = finish_reason in _WHOLE and "too_long" not in self._reader.flags
        if self._state in ("header", "arguments"):
            self._end_call(is_closed=False, is_cut=not is_whole)
        if self._is_in_section:
            self._flag("unclosed_section")
        if self._state == "thinking":
            self._flag("unclosed_think")
        answer, cut = "".join(self._texts["answer"]), self._cut_text()
        content = (answer + cut).strip()
        if self._syntax.foreign is not None and self._syntax.foreign.search(content):
            self._flag("foreign_call_syntax")
        if not content and not self._reader.calls:
            self._flag("empty_turn")
        if finish_reason == "repetition":
            content = answer = keep_one_period((answer + cut).lstrip())
            self._flag("repetition_stop")
        elif finish_reason == "length":
            self._flag("hit_length")
        return ParsedTurn(
            reasoning="".join(self._texts["thinking"]).strip(),
            content=content,
            calls=self.calls,
            flags=self.flags,
            raw="".join(self._raw),
            shown=answer.strip(),
            tail=tail,
        )

    def _scan(self, text: str) -> Iterator[Piece]:
        place = 0
        while (pattern := self._syntax.patterns[self._state]) is not None:
            found = pattern.search(text, place)
            if found is None:
                break
            yield from self._text(text[place : found.start()])
            yield self._marker(found[0])
            place = found.end()
        held = _held_back(text, place, self._syntax) if pattern is not None else 0
        self._held = text[len(text) - held :]
        yield from self._text(text[place : len(text) - held])

    def _release(self) -> Iterator[Piece]:
        """What was held back turns out to be plain text."""
        held, self._held = self._held, ""
        yield from self._text(held)

    def _text(self, text: str) -> Iterator[Piece]:
        if not text:
            return
        if text.strip():
            if self._state == "answer":
                self._may_open = False
                if self._reader.calls:
                    self._flag("text_after_tool_calls")
            elif self._state == "section":
                self._flag("text_in_tool_section")
        self._texts[self._state].append(text)
        yield Piece(_CHANNELS[self._state], text)

    def _marker(self, text: str) -> Piece:
        match self._syntax.markers[text]:
            case "think":
                self._open_thinking()
            case "think_end":
                self._close_thinking()
            case "control":
                self._state = "cut"
                self._texts["cut"].append(text)
                return Piece("cut", text)
            case "section" | "section_end" | "call" | "argument" | "call_end" as kind:
                self._turn(kind)
        return Piece("marker", text)

    def _open_thinking(self) -> None:
        if self._state == "answer" and not self._may_open:
            self._flag("reopened_think")
        self._may_open = False
        self._state = "thinking"

    def _close_thinking(self) -> None:
        if self._state == "answer":
            self._flag("stray_think_close")
        self._state = "answer"

    def _turn(self, kind: Kind) -> None:
        """Go on to the state a tool marker leads to."""
        if self._state == "thinking":
            self._flag("call_inside_think")
        if self._state in ("header", "arguments") and kind != "argument":
            self._end_call(is_closed=kind == "call_end", is_cut=False)
        match kind:
            case "section":
                self._open_section()
            case "section_end":
                self._close_section()
            case "call":
                self._open_call()
            case "argument" if self._state == "header":
                self._state = "arguments"
            case _ if self._state in ("header", "arguments"):
                self._state = "section" if self._is_in_section else "answer"
            case _ if self._state == "answer":
                self._stray()

    def _open_section(self) -> None:
        if self._num_sections and not self._is_in_section:
            self._flag("several_sections")
        self._num_sections += not self._is_in_section
        self._is_in_section = True
        self._state = "section"

    def _close_section(self) -> None:
        if self._state == "answer":
            self._stray()
        self._is_in_section = False
        self._state = "answer"

    def _open_call(self) -> None:
        if self._syntax.has_sections and not self._is_in_section:
            self._has_loose_call = True
            self._flag("call_without_section")
        self._state = "header" if self._syntax.has_sections else "arguments"
        self._texts["header"].clear()
        self._texts["arguments"].clear()

    def _end_call(self, *, is_closed: bool, is_cut: bool) -> None:
        header, arguments = ("".join(self._texts[state]) for state in ("header", "arguments"))
        if not is_closed:
            self._flag("unclosed_call")
        if not self._syntax.has_sections:
            self._reader.read_object(arguments, is_cut=is_cut)
            return
        if self._state == "header":
            header, brace, rest = header.partition("{")
            if not brace and not is_closed:
                self._reader.read_nothing()
                return
            arguments = brace + rest
            self._flag("no_arg_marker")
        self._reader.read(header, arguments, is_cut=is_cut)

    def _stray(self) -> None:
        """A tool marker in the answer. Calls without a section may well end with one."""
        if not self._has_loose_call:
            self._flag("control_token_in_content")

    def _cut_text(self) -> str:
        """What stands after a control token, nothing when it is only the end of the turn."""
        cut = "".join(self._texts["cut"])
        if cut.strip() in ("", "<|im_end|>"):
            return ""
        self._flag("control_token_in_content")
        return cut

    def _flag(self, flag: str) -> None:
        self._reader.flags.setdefault(flag)


def split_thinking(raw: str, *, starts_thinking: bool = False) -> Parsed:
    """Sort a whole turn of a model without tools into thinking and answer."""
    parser = TurnParser(THINKING_ONLY, starts_thinking=starts_thinking)
    parser.feed(raw)
    turn = parser.close()
    is_leaked = {"stray_think_close", "reopened_think"} & set(turn.flags)
    found = {"think_leak": is_leaked, "unclosed_think": "unclosed_think" in turn.flags}
    return Parsed(
        turn.reasoning, turn.content, tuple(name for name, is_so in found.items() if is_so)
    )


def keep_one_period(text: str) -> str:
    """``text`` without the repeats of its tail; the longest period that recurs stays once."""
    for size in range(min(_MAX_PERIOD_CHARS, len(text) // _MIN_REPEATS), 0, -1):
        if text.endswith(text[-size:] * _MIN_REPEATS):
            start = len(text) - _MIN_REPEATS * size
            while start > 0 and text[start - 1] == text[start - 1 + size]:
                start -= 1
            return text[: start + size]
    return text.strip()


def _held_back(text: str, start: int, syntax: Syntax) -> int:
    """Length of the suffix that more text could turn into a marker."""
    place = text.rfind("<", max(start, len(text) - syntax.longest))
    return len(text) - place if place >= 0 and text[place:] in syntax.beginnings else 0


def main(arguments: Sequence[str]) -> int:
    """Read a file of raw Kimi turns and print what was parsed, one JSON line a turn.

    The first line holds ``_meta`` and ``tools`` (parameters by name); each further one ``id``,
    ``raw`` and ``finish_reason``.
    """
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m kos.chat.parse FILE.jsonl\n")
        return 2
    try:
        lines = Path(arguments[0]).read_text().split("\n")
        first, *rows = (json.loads(line) for line in lines if line.strip())
        for row in rows:
            parser = TurnParser(KIMI, first["tools"], starts_thinking=True)
            parser.feed(row["raw"])
            turn = parser.close(row.get("finish_reason") or "stop")
            sys.stdout.write(json.dumps({"id": row["id"], **_summary(turn)}) + "\n")
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"{arguments[0]} cannot be read: {error!r}\n")
        return 1
    return 0


def _summary(turn: ParsedTurn) -> dict[str, Any]:
    calls = [
        {"id": call.id, "name": call.name, "args": call.args, "error": call.error}
        for call in turn.calls
    ]
    flags = list(turn.flags)
    return {"reasoning": turn.reasoning, "content": turn.content, "calls": calls, "flags": flags}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
