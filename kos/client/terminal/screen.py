"""What a person reads in a terminal, what a pipe gets, and JSON for scripts."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

# Status never by colour alone: glyph and word, as on the pages.
STATUS = {
    "queued": ("○", "bright_black"),
    "running": ("●", "blue"),
    "stopping": ("◐", "yellow"),
    "done": ("✓", "green"),
    "failed": ("✗", "red"),
    "cancelled": ("■", "bright_black"),
    "lost": ("△", "yellow"),
}
# These turn the direction of writing, and hide what a line says.
DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Column:
    """A column of a list: its heading, and how it is had from a row's JSON."""

    title: str
    read: Callable[[Mapping[str, Any]], Any]
    is_number: bool = False


@dataclass
class Screen:
    """Where a command's results go; remarks and errors go to standard error."""

    is_json: bool = False
    out: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    err: Console = field(
        default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True)
    )

    @property
    def is_live(self) -> bool:
        """Whether somebody watches: bars may move and colours show."""
        return self.out.is_terminal and not self.is_json

    def rows(
        self, rows: Iterable[Mapping[str, Any]], columns: Sequence[Column], *, empty: str = ""
    ) -> None:
        """A table; as plain lines with tabs when nobody watches; or a JSON array."""
        found = [*rows]
        if self.is_json:
            self.data(found)
        elif not found:
            self.err.print(escape(empty or "Nothing found."))
        elif not self.is_live:
            for row in found:
                self.plain("\t".join(plain(one.read(row)) for one in columns))
        else:
            table = Table(box=None, pad_edge=False, header_style="bright_black")
            for column in columns:
                table.add_column(
                    column.title, justify="right" if column.is_number else "left", overflow="fold"
                )
            for row in found:
                table.add_row(*(styled(one.read(row)) for one in columns))
            self.out.print(table, soft_wrap=False)

    def facts(self, data: Mapping[str, Any], lines: Mapping[str, Any]) -> None:
        """One thing: ``lines`` as name and value, or ``data`` as JSON."""
        if self.is_json:
            self.data(data)
            return
        width = max((len(name) for name in lines), default=0)
        for name, value in lines.items():
            self.out.print(Text(f"{name:<{width}}  ", style="bright_black"), styled(value), sep="")

    def data(self, data: Any) -> None:
        """JSON on standard output: one document, or in a stream one line."""
        # ASCII alone: no character in it can steer a terminal, and none is lost.
        self._write(json.dumps(data, default=str) + "\n")

    def plain(self, text: str) -> None:
        """A line as it is."""
        self.write(f"{text}\n")

    def write(self, text: str) -> None:
        """Some characters as they are; rich would turn tabs into blanks."""
        self._write(clean(text))

    def remark(self, text: str) -> None:
        """What a person should know, and a pipe should not get."""
        self.err.print(escape(clean(text)))

    def _write(self, text: str) -> None:
        self.out.file.write(text)
        self.out.file.flush()


def clean(text: str) -> str:
    """Without control characters: what a model or a user wrote must not steer the terminal."""
    return "".join(one for one in text if one in "\n\t" or not _steers(one))


def _steers(one: str) -> bool:
    return unicodedata.category(one) in ("Cc", "Cs") or one in DIRECTIONS


def plain(value: Any) -> str:
    """A value as one word or line."""
    if isinstance(value, Text):
        return value.plain.split(" ", 1)[-1]
    return " ".join(clean("" if value is None else str(value)).split())


def styled(value: Any) -> Text:
    """A value for a table; text of others is never read as markup."""
    return value if isinstance(value, Text) else Text(clean("" if value is None else str(value)))


def status(word: str) -> Text:
    """Glyph and word."""
    glyph, colour = STATUS.get(word, ("·", "default"))
    return Text(f"{glyph} {word}", style=colour)


def number(value: Any) -> str:
    """Four significant digits, whole numbers whole."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def size(num_bytes: float) -> str:
    """Bytes in a unit that reads well."""
    for unit in UNITS[:-1]:
        if num_bytes < 1000:
            return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} {UNITS[-1]}"


def span(seconds: float) -> str:
    """A length of time in its two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def ago(moment: str | None) -> str:
    """How long ago a moment in Kos's JSON was."""
    if not moment:
        return ""
    return f"{span((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())} ago"


def pairs(values: Mapping[str, Any], most: int = 6) -> str:
    """Some names with their numbers, in a line."""
    told = [f"{name} {number(value)}" for name, value in values.items() if value is not None]
    return "  ".join(told[:most])
