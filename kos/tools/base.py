"""What a tool is, what it brings back, and what it may use.

A tool is one class in one file of this folder; dropping the file there registers it. It tries
its providers in turn and says where its records come from, to the model and to the reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from kos.registry import Choice, Registry

if TYPE_CHECKING:
    from kos.tools.desk import Desk

Mode = Literal["live", "cache", "embedded", "imported"]


@dataclass(frozen=True)
class Provenance:
    """Where a record comes from. ``retrieved_at`` is ISO 8601, UTC; ``attribution`` is owed."""

    provider: str
    mode: Mode
    source_url: str = ""
    retrieved_at: str = ""
    data_version: str = ""
    licence: str = ""
    attribution: str = ""


@dataclass(frozen=True)
class Record:
    """One hit: ``text`` is what there is to read, ``sections`` its parts by heading."""

    title: str
    url: str
    text: str
    provenance: Provenance
    sections: Mapping[str, str] = field(default_factory=dict)
    score: float = 0.0


@dataclass(frozen=True)
class Found:
    """What a call brought back. ``notice`` is one line on its source ("source: embedded
    ICD-10-CM April 2026; live source not configured"); ``mode`` is the sort of that source.
    """

    records: tuple[Record, ...]
    notice: str
    mode: Mode


class Tool(Choice):
    """Something the model may call. ``kind`` is the name it calls it by."""

    @property
    def name(self) -> str:
        """What the model calls it by."""
        return self.kind

    def declare(self) -> Mapping[str, Any]:
        """Its OpenAI function declaration; registration lints it."""
        raise NotImplementedError

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found:
        """Do it. ``arguments`` were validated against the declaration.

        ``UserError`` becomes an observation that the model can mend.
        """
        raise NotImplementedError


TOOLS: Registry[Tool] = Registry("tool")
