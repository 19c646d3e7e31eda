"""A finished evaluation from elsewhere, kept as a run that is done, with its traces."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.datasets.models import DatasetVersion
from apps.datasets.services import keep_version
from apps.runs.models import Run, Status
from apps.traces import services as traces
from apps.traces.models import Trace
from kos.config import Evaluate
from kos.data.rubrics import RubricItem, RubricTask, Turn
from kos.evals.finished import FinishedAnswer, FinishedRun, read_finished
from kos.evals.scores import State
from kos.events import RolloutDone, to_json

NO_PROMPT = "The file holds no text of this prompt."


def import_finished(
    user: User,
    path: Path,
    *,
    name: str,
    model: str = "",
    dataset: DatasetVersion | None = None,
) -> Run:
    """Keep simple-evals' results as a finished evaluation.

    ``dataset`` lends tags and slices; without one, a dataset version is made of the file's own
    prompts and rubrics. Raises UserError that names the line which cannot be used.
    """
    tasks = {} if dataset is None else _tasks(dataset)
    found = read_finished(path, model=model, tasks=tasks)
    return keep(user, found, name=name, source=path.name, dataset=dataset)


@transaction.atomic
def keep(
    user: User,
    found: FinishedRun,
    *,
    name: str,
    source: str,
    dataset: DatasetVersion | None = None,
) -> Run:
    """The run row and its traces, all or none."""
    now = timezone.now()
    version = dataset or _version(found, name, source, user)
    run = Run.objects.create(
        name=name[:120],
        kind="evaluate",
        owner=user,
        config=Evaluate(samples=_samples(found)).model_dump(mode="json"),
        dataset=version,
        status=Status.DONE,
        started=now,
        ended=now,
        result={"source": source, "stated": dict(found.stated), "notes": [*found.notes]},
    )
    rollouts = (to_json(_rollout(answer)) for answer in found.answers)
    traces.record(run, 0, rollouts, origin=Trace.Origin.EVALUATION)
    return run


def _rollout(answer: FinishedAnswer) -> RolloutDone:
    graded = answer.graded
    return RolloutDone(
        model=graded.model[:40],
        example_id=graded.prompt_id,
        sample=graded.sample,
        messages=tuple(answer.messages),
        answer=answer.answer,
        thinking="",
        raw="",
        num_tokens=graded.num_tokens,
        num_answer_tokens=graded.num_tokens,
        stop_reason="error" if graded.error else "imported",
        items=graded.items,
        score=graded.share if graded.state is State.GRADED else None,
        flags=graded.flags,
        error=graded.error,
    )


def _version(found: FinishedRun, name: str, source: str, user: User) -> DatasetVersion:
    """The file's own prompts as a dataset, so that tags and slices have a home."""
    groups: dict[str, FinishedAnswer] = {}
    for answer in found.answers:
        # A failed answer may come without its rubric.
        if (
            answer.graded.prompt_id not in groups
            or not groups[answer.graded.prompt_id].graded.items
        ):
            groups[answer.graded.prompt_id] = answer
    tasks = [_task(answer) for answer in groups.values() if answer.graded.items]
    return keep_version(f"Imported: {name}"[:120], tasks, source=source, user=user)


def _task(answer: FinishedAnswer) -> RubricTask:
    graded = answer.graded
    return RubricTask(
        id=graded.prompt_id,
        messages=_turns(answer.messages),
        rubric=tuple(
            RubricItem(key=key, text=item.text, points=item.points, tags=item.tags)
            for key, item in zip(_keys(graded.items), graded.items, strict=True)
            if item.points and item.text
        ),
        split="test",
        tags=graded.example_tags,
        restricted=graded.restricted,
    )


def _keys(items: Sequence[Any]) -> list[str]:
    """The items' keys; one criterion that stands twice in a rubric is told apart."""
    seen: dict[str, itertools.count[int]] = {}
    keys = []
    for item in items:
        number = next(seen.setdefault(item.key, itertools.count(1)))
        keys.append(item.key if number == 1 else f"{item.key}-{number}")
    return keys


def _turns(messages: Sequence[Any]) -> tuple[Turn, ...]:
    turns = tuple(
        Turn(role=turn["role"], content=str(turn.get("content") or ""))
        for turn in messages
        if turn.get("role") in ("system", "user", "assistant")
    )
    has_question = bool(turns) and turns[-1].role == "user"
    return turns if has_question else (*turns, Turn(role="user", content=NO_PROMPT))


def _tasks(version: DatasetVersion) -> dict[str, RubricTask]:
    return {example.external_id: example.rubric_task for example in version.examples.all()}


def _samples(found: FinishedRun) -> int:
    return 1 + max((answer.graded.sample for answer in found.answers), default=0)
