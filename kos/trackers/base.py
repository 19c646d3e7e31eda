"""What a tracker is told, and the protocol that each one speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

Value = str | int | float | bool
# waiting: this attempt is over and the run goes on in a later one.
Ending = Literal["done", "failed", "cancelled", "waiting"]


@dataclass(frozen=True)
class Start:
    """A run as a tracker hears of it first, or again when it was resumed.

    ``id`` is what the tracker called it the first time, empty before that. ``config`` is flat
    and has gone through ``kos.trackers.safe``. ``folder`` may be written to.
    """

    name: str
    project: str
    folder: Path
    id: str = ""
    config: Mapping[str, Value] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """What the tracker calls the run, and its page there; ``url`` is empty where it has none."""

    id: str
    url: str = ""


class Tracker(Protocol):
    """One run on its way to one tracker. All calls come from one thread, ``start`` first.

    Any of them may be slow and may raise whatever the library raises: the caller minds that.
    """

    def start(self, run: Start) -> Link:
        """Open the run, or go on with the one called ``run.id``."""

    def log(self, step: int, metrics: Mapping[str, float], at: datetime) -> None:
        """The numbers of one step."""

    def finish(self, ending: Ending, summary: Mapping[str, float]) -> None:
        """This attempt is over; ``summary`` are closing numbers."""
