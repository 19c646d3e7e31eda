"""What a running job says, and the ``Job`` it says it to.

A job is a plain function ``work(config, job)``. It reads ``job.inputs``, writes files under
``job.folder`` and tells the rest through ``job.emit``. It never sees a database: the same
function runs in a notebook with ``kos.events.LocalJob``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from kos.errors import UserError
from kos.messages import Source, ToolRecord, TurnRecord


@dataclass(frozen=True)
class Note:
    """A line for the run's log."""

    text: str
    level: Literal["info", "warning", "error"] = "info"
    kind: Literal["note"] = "note"


@dataclass(frozen=True)
class Progress:
    """How far one stage of the work is: ``done`` of ``total`` ``unit``s."""

    stage: str
    done: float
    total: float
    unit: str = ""
    kind: Literal["progress"] = "progress"


@dataclass(frozen=True)
class StepDone:
    """One finished training step (1, 2, ...) and its numbers, by metric name.

    A number that is not finite arrives as None: JSON has no other word for it.
    """

    step: int
    metrics: Mapping[str, float | None]
    kind: Literal["step"] = "step"


@dataclass(frozen=True)
class ItemGrade:
    """One rubric item's verdict. ``met`` is None when the item could not be graded.

    ``grader`` names who said so with its version ("check", "judge:gpt-4.1@3f2a"), ``note`` is
    its explanation. ``raw`` is a judge's whole reply, ``attempts`` how often it was asked.
    """

    key: str
    text: str
    points: float
    met: bool | None
    grader: str
    note: str = ""
    tags: tuple[str, ...] = ()
    raw: str = ""
    attempts: int = 1
    seconds: float = 0.0
    num_tokens: int = 0
    is_cached: bool = False
    num_prompt_tokens: int = 0


@dataclass(frozen=True)
class RolloutDone:
    """One sampled and graded answer: of a training step, or of an evaluation (step 0).

    ``score`` is None when any item is ungraded. ``reward`` is what the optimiser saw and
    ``components`` its parts by name; an evaluation leaves both empty. ``model`` names who
    answered ("policy", "base", "trained", "exported"). ``turns``, ``tools`` and ``sources`` are
    the harness's own records; ``versions`` names what stood behind the answer (dialect, tool
    declarations, system prompt, code).
    """

    model: str
    example_id: str
    sample: int
    messages: tuple[Mapping[str, str], ...]
    answer: str
    thinking: str
    raw: str
    num_tokens: int
    num_answer_tokens: int
    stop_reason: str
    items: tuple[ItemGrade, ...]
    score: float | None
    step: int = 0
    reward: float | None = None
    advantage: float | None = None
    components: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    error: str = ""
    turns: tuple[TurnRecord, ...] = ()
    tools: tuple[ToolRecord, ...] = ()
    sources: tuple[Source, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["rollout"] = "rollout"


@dataclass(frozen=True)
class Saved:
    """An artifact stands whole at ``path``, relative to the job's folder.

    ``artifact`` is its sort: ``difficulty`` has pass rates of prompts, ``answers`` chosen answers
    to learn from, ``pairs`` better and worse ones, ``calibration`` texts and what the
    activations were on them. ``summary`` is what the console shows of it.
    """

    artifact: Literal[
        "base",
        "trajectories",
        "difficulty",
        "answers",
        "pairs",
        "adapter",
        "merged",
        "calibration",
        "quantised",
        "report",
    ]
    path: str
    summary: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["saved"] = "saved"


@dataclass(frozen=True)
class Checkpointed:
    """The job can be taken up again after ``step``."""

    step: int
    kind: Literal["checkpoint"] = "checkpoint"


@dataclass(frozen=True)
class Serving:
    """A server answers at ``url`` (OpenAI-compatible, without the trailing ``/v1``).

    ``model`` is the deployment's name, ``served_model`` its name on that server where that is
    another. ``warm_up`` has the first answer: text, num_tokens, first_token_seconds,
    tokens_per_second.
    """

    url: str
    model: str
    engine: Literal["local", "vllm", "remote"] = "local"
    dialect: str = "server"
    served_model: str = ""
    warm_up: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["serving"] = "serving"


@dataclass(frozen=True)
class Restarting:
    """The server ended by itself and is started again, for the ``time``-th time in a row."""

    reason: str
    time: int
    wait_seconds: float
    kind: Literal["restarting"] = "restarting"


@dataclass(frozen=True)
class Result:
    """The run's closing numbers, for its page and for the pipeline's report."""

    summary: Mapping[str, Any]
    kind: Literal["result"] = "result"


Event = (
    Note | Progress | StepDone | RolloutDone | Saved | Checkpointed | Serving | Restarting | Result
)


class Job(Protocol):
    """What the platform lends to a running job."""

    @property
    def folder(self) -> Path:
        """The run's own folder; it outlives attempts, so checkpoints lie here."""

    @property
    def inputs(self) -> Mapping[str, Path]:
        """Where the run's inputs lie, by the names its config declares."""

    @property
    def seed(self) -> int:
        """Everything random in the job derives from this and the step number."""

    def secret(self, name: str) -> str:
        """The key that the console keeps under ``name``; UserError when there is none."""

    def emit(self, event: Event) -> None:
        """Tell the platform. Raises ``CancelledError`` once the run was asked to stop."""

    def check(self) -> None:
        """Say nothing; only raise ``CancelledError`` once the run was asked to stop."""


@dataclass
class LocalJob:
    """A job outside the console: for notebooks, benchmarks and tests."""

    folder: Path
    inputs: Mapping[str, Path] = field(default_factory=dict)
    seed: int = 0
    events: list[Event] = field(default_factory=list)
    on_event: Callable[[Event], None] | None = None
    on_check: Callable[[], None] | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)

    def secret(self, name: str) -> str:
        """The key called ``name``."""
        return find_secret(self.secrets, name)

    def emit(self, event: Event) -> None:
        """Keep the event, then pass it to ``on_event``, which may raise to stop the job."""
        self.events.append(event)
        if self.on_event is not None:
            self.on_event(event)

    def check(self) -> None:
        """Call ``on_check``, which may raise to stop the job."""
        if self.on_check is not None:
            self.on_check()


def find_secret(secrets: Mapping[str, str], name: str) -> str:
    """The key called ``name``; UserError says how to add it."""
    if not secrets.get(name):
        raise UserError(f"There is no key called {name!r}. Add it under Keys in the console.")
    return secrets[name]


def to_json(event: Event) -> dict[str, Any]:
    """The event as plain JSON: what the job's process writes on its pipe."""
    return asdict(event)


def to_line(event: Event) -> bytes:
    """The event as one line of JSON, for a job's own files."""
    return json.dumps(to_json(event)).encode() + b"\n"
