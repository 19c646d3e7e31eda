"""What a training remembers beside weights: in the checkpoint, so a resumed run goes on alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from kos.data.rubrics import RubricTask
from kos.rl.partial import Pending
from kos.rl.prompts.base import Record
from kos.rl.rollouts import Group, Rollout

ROLLOUTS: TypeAdapter[tuple[Rollout, ...]] = TypeAdapter(tuple[Rollout, ...])
PENDING: TypeAdapter[list[Pending]] = TypeAdapter(list[Pending])


@dataclass(frozen=True)
class Batch:
    """What was sampled for training step ``step``: groups to learn from, and numbers.

    ``numbers`` has what the groups alone do not tell: groups thrown away for others, say.
    """

    step: int
    groups: tuple[Group, ...]
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Memory:
    """Everything of a run that is neither weight nor optimiser.

    ``record`` is how each prompt went, ``stages`` what each reward stage keeps, by its place.
    ``pending`` are groups in the making (partial rollouts), ``queue`` batches that wait to be
    trained on, up to the one of step ``sampled`` (asynchronous mode). ``totals`` add up what
    was spent; ``history`` is what the alarms look back on, ``fingerprint`` what the trainer said
    to a fixed text when the checkpoint was written.
    """

    record: Record = field(default_factory=Record)
    stages: list[dict[str, Any]] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    queue: list[Batch] = field(default_factory=list)
    sampled: int = 0
    totals: dict[str, float] = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)
    fingerprint: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As the checkpoint keeps it; floats lose no bit on the way."""
        return {
            "record": self.record.to_json(),
            "stages": self.stages,
            "pending": PENDING.dump_python(self.pending, mode="json"),
            "queue": [_batch_to_json(batch) for batch in self.queue],
            "sampled": self.sampled,
            "totals": self.totals,
            "history": self.history,
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def from_json(
        cls,
        kept: Mapping[str, Any],
        tasks: Mapping[str, RubricTask],
        difficulty: Mapping[str, float],
        *,
        num_stages: int,
    ) -> Memory:
        """What ``to_json`` kept, or the memory of a run that begins; ``tasks`` are by id."""
        stages = [dict(one) for one in kept.get("stages", [])]
        return cls(
            record=Record(dict(kept.get("record", {}).get("scores", {})), difficulty),
            stages=[*stages, *({} for _ in range(num_stages - len(stages)))],
            pending=PENDING.validate_python(kept.get("pending", [])),
            queue=[_batch_of_json(batch, tasks) for batch in kept.get("queue", [])],
            sampled=int(kept.get("sampled", 0)),
            totals=dict(kept.get("totals", {})),
            history={name: list(row) for name, row in kept.get("history", {}).items()},
            fingerprint=list(kept.get("fingerprint", [])),
        )

    def spend(self, numbers: Mapping[str, float]) -> None:
        """Add to the totals."""
        for name, value in numbers.items():
            self.totals[name] = self.totals.get(name, 0.0) + value


def _batch_to_json(batch: Batch) -> dict[str, Any]:
    groups = [
        # The task is an input of the run: its id says it all.
        {
            "task": group.task.id,
            "prompt": list(group.prompt),
            "rollouts": ROLLOUTS.dump_python(group.rollouts, mode="json"),
            "temperature": group.temperature,
            "begun": group.begun,
            "numbers": dict(group.numbers or {}),
            "first_sample": group.first_sample,
        }
        for group in batch.groups
    ]
    return {"step": batch.step, "groups": groups, "numbers": dict(batch.numbers)}


def _batch_of_json(kept: Mapping[str, Any], tasks: Mapping[str, RubricTask]) -> Batch:
    groups = [
        replace(
            Group(tasks[one["task"]], (), ()),
            prompt=tuple(one["prompt"]),
            rollouts=ROLLOUTS.validate_python(one["rollouts"]),
            temperature=one["temperature"],
            begun=one["begun"],
            numbers=one["numbers"],
            first_sample=one["first_sample"],
        )
        for one in kept["groups"]
    ]
    return Batch(int(kept["step"]), tuple(groups), dict(kept["numbers"]))
