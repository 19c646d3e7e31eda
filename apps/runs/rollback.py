"""Going back to an earlier step: a new run from a state that a training kept on its way.

The old run is left as it is. The new one gets the state as its own checkpoint before any worker
can take it, so it resumes from there as an interrupted run would, with other knobs if wished.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.db import transaction

from apps.accounts.models import User
from apps.runs import events, services
from apps.runs.models import Event, Run
from kos.config import JobConfig
from kos.errors import UserError
from kos.rl import checkpoints

SAID = "rolled_back"
# What the state itself was made of: with other values it could not be read.
FIXED = ("lora", "engine", "kind")


class Origin(NamedTuple):
    """Where a run was rolled back from."""

    run: Run
    step: int


def kept_steps(run: Run) -> list[int]:
    """The steps whose state the run kept, newest first."""
    return checkpoints.kept_steps(run.folder)[::-1]


def nearest(run: Run, step: int) -> int | None:
    """The newest kept step that is not after ``step``."""
    return next((kept for kept in kept_steps(run) if kept <= step), None)


def origin_of(run: Run) -> Origin | None:
    """The run and the step that ``run`` was rolled back from, if it was."""
    said = Event.objects.filter(run=run, kind=SAID).order_by("seq").first()
    if said is None:
        return None
    found = Run.objects.filter(pk=said.data["run"]).first()
    return Origin(found, said.data["step"]) if found else None


def descendants(run: Run) -> list[Origin]:
    """The runs that went on from a step of ``run``, with that step."""
    said = Event.objects.filter(kind=SAID, data__run=run.pk).select_related("run").order_by("pk")
    return [Origin(event.run, event.data["step"]) for event in said]


@transaction.atomic
def roll_back(run: Run, step: int, owner: User, changes: Mapping[str, Any] | None = None) -> Run:
    """A new run that goes on from ``run``'s state after ``step``, with ``changes`` of its config.

    ``changes`` is nested as the config is. Raises UserError when no such state was kept or a
    changed knob does not fit it, pydantic's ValidationError when one is wrong in itself.
    """
    kept = kept_steps(run)
    if step not in kept:
        there = ", ".join(map(str, kept)) or "none"
        raise UserError(f"{run.name} kept no state of step {step}; there are: {there}")
    config = _changed(run, changes or {})
    if step >= getattr(config, "steps", step + 1):
        raise UserError(f"step {step} is the last of {step}: there is nothing to go on with")
    made = services.launch(
        owner,
        run.kind,
        config,
        name=f"{run.name} from step {step}"[:120],
        inputs={entry.name: entry.artifact for entry in run.inputs.select_related("artifact")},
        dataset=run.dataset,
        seed=run.seed,
    )
    checkpoints.hand_over(run.folder, step, made.folder)
    events.say(events.lock(made.pk), SAID, run=run.pk, name=run.name, step=step)
    made.refresh_from_db(fields=["last_seq"])
    return made


def _changed(run: Run, changes: Mapping[str, Any]) -> JobConfig:
    fixed = [name for name in FIXED if name in changes]
    if fixed:
        raise UserError(f"{', '.join(fixed)} cannot change: the kept state was made with it")
    return type(run.settings).model_validate(merged(run.config, changes))


def merged(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with ``changes`` laid over it, level by level."""
    found = dict(config)
    for name, value in changes.items():
        is_part = isinstance(value, Mapping) and isinstance(found.get(name), Mapping)
        found[name] = merged(found[name], value) if is_part else value
    return found
