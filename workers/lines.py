"""The lines of a job's process, read back: checked once, here, at the border."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from apps.runs.events import NewEvent
from kos.events import Event

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
# The last word of a job's process; no event, and kept in no log.
ENDS = ("failed", "done")
EXCERPT = 200
# What travels of a rollout; its page reads the whole from the traces.
NUMBERS = (
    "model",
    "example_id",
    "sample",
    "step",
    "score",
    "reward",
    "advantage",
    "components",
    "num_tokens",
    "num_answer_tokens",
    "stop_reason",
    "flags",
)


@dataclass(frozen=True)
class Line:
    """One line. ``event`` is None for the last one of a job that raised, or that is done."""

    kind: str
    data: Mapping[str, Any]
    at: datetime
    event: Event | None
    digest: str = ""
    size_bytes: int = 0

    def entry(self, *, is_restricted: bool) -> NewEvent:
        """What the event log keeps of it; never the text of a restricted dataset."""
        data = {key: value for key, value in self.data.items() if key != "kind"}
        if self.kind == "rollout":
            data = {name: data[name] for name in NUMBERS}
            if not is_restricted:
                data["answer"] = self.data["answer"][:EXCERPT]
                data["error"] = self.data["error"]
        return NewEvent(self.kind, data, self.at)


def parse(text: bytes) -> Line:
    """A line of the pipe. Raises pydantic's ValidationError for what is no event."""
    line = json.loads(text)
    data = line["data"]
    return Line(
        kind=data["kind"],
        data=data,
        at=datetime.fromtimestamp(line["at"], UTC),
        event=None if data["kind"] in ENDS else EVENT.validate_python(data),
        digest=line.get("digest", ""),
        size_bytes=line.get("size_bytes", 0),
    )
