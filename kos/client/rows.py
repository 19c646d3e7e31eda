"""What Kos answers, as frozen rows. Fields that a newer Kos adds are in ``raw``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

ENDED = ("done", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Record:
    """A row of any kind; ``row["name"]`` reads what has no attribute."""

    id: int = 0
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """The row in a JSON object; what is missing or null takes the default."""
        known = {
            one.name: _read(str(one.type), data[one.name])
            for one in fields(cls)
            if one.name != "raw" and data.get(one.name) is not None
        }
        return cls(raw=data, **known)

    def __getitem__(self, name: str) -> Any:
        return self.raw[name]


@dataclass(frozen=True, kw_only=True)
class Run(Record):
    """A job of any kind. ``progress`` has done, total and unit by stage."""

    name: str = ""
    kind: str = ""
    status: str = ""
    owner: str = ""
    pipeline: int | None = None
    stage: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, int] = field(default_factory=dict)
    dataset: int | None = None
    seed: int = 0
    tags: list[str] = field(default_factory=list)
    notes: str = ""
    priority: int = 0
    is_archived: bool = False
    code_revision: str = ""
    attempt: int = 0
    last_seq: int = 0
    progress: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    created: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def is_ended(self) -> bool:
        """Whether it is done, failed or cancelled."""
        return self.status in ENDED

    @property
    def is_done(self) -> bool:
        """Whether it came to its end."""
        return self.status == "done"


@dataclass(frozen=True, kw_only=True)
class Event(Record):
    """What a run said; ``seq`` counts from 1 without a gap. ``id`` is ``seq``."""

    seq: int = 0
    attempt: int = 0
    kind: str = ""
    at: datetime | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Change(Record):
    """A run has another status. After ``id`` the changes can be taken up again."""

    run: int = 0
    name: str = ""
    kind: str = ""
    pipeline: int | None = None
    status: str = ""
    error: str = ""
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Line(Record):
    """A line of a run's log; ``level`` is info, warning, error, or mark for a change of the run."""

    seq: int = 0
    kind: str = ""
    level: str = ""
    text: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """How far one stage of a run is: ``done`` of ``total`` ``unit``s (0: nobody knows)."""

    stage: str
    done: float
    total: float
    unit: str = ""

    @property
    def share(self) -> float | None:
        """From 0 to 1; None where the total is not known."""
        return min(1.0, self.done / self.total) if self.total else None


@dataclass(frozen=True, kw_only=True)
class Artifact(Record):
    """A file or folder that a run kept; ``digest`` is ``kos.digests.digest_of`` of it."""

    run: int = 0
    kind: str = ""
    name: str = ""
    format: str = ""
    digest: str = ""
    size_bytes: int = 0
    summary: Mapping[str, Any] = field(default_factory=dict)
    is_pinned: bool = False
    created: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class File(Record):
    """One file of an artifact; ``name`` is its path in it, with forward slashes."""

    name: str = ""
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class DatasetVersion(Record):
    """One version of a set of prompts; it never changes."""

    name: str = ""
    number: int = 0
    digest: str = ""
    source: str = ""
    is_restricted: bool = False
    is_demonstration: bool = False
    num_examples: int = 0
    created: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Deployment(Record):
    """A model that answers under ``name``."""

    name: str = ""
    engine: str = ""
    status: str = ""
    dialect: str = ""
    run_id: int | None = None
    artifact_id: int | None = None
    adapter_id: int | None = None
    num_restarts: int = 0
    created: datetime | None = None


def _read(annotation: str, value: Any) -> Any:
    if "datetime" in annotation and isinstance(value, str):
        return datetime.fromisoformat(value)
    return value
