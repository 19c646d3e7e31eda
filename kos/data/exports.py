"""Datasets as files for other tools. Restricted rows never leave: they are counted instead."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from kos.data.rubrics import RubricTask
from kos.errors import UserError


def export(tasks: Iterable[RubricTask], format: str) -> Iterator[str]:
    """One JSON line a task that may leave; raises UserError for an unknown format."""
    if format not in EXPORTS:
        raise UserError(f"no export {format!r}; there are {', '.join(sorted(EXPORTS))}")
    write = EXPORTS[format]
    return (
        json.dumps(write(task), ensure_ascii=False) + "\n" for task in tasks if not task.restricted
    )


def to_kos(task: RubricTask) -> dict[str, Any]:
    """Kos's own JSON, without what is at its default."""
    return task.model_dump(mode="json", exclude_defaults=True)


def to_healthbench(task: RubricTask) -> dict[str, Any]:
    """A row of HealthBench, as openai/simple-evals reads it.

    Checks, verifiers and environments have no place in it. Example tags may not repeat there.
    """
    derived = {"use_case": task.use_case, "type": task.type, "difficulty": task.difficulty}
    tags = [f"{name}:{value}" for name, value in derived.items() if value != "other"]
    tags += [f"specialty:{task.specialty}"] if task.specialty else []
    return {
        "prompt_id": task.id,
        "prompt": [turn.model_dump() for turn in task.messages],
        "rubrics": [
            {"criterion": item.text, "points": item.points, "tags": list(dict.fromkeys(item.tags))}
            for item in task.rubric
        ],
        "example_tags": list(dict.fromkeys([*task.tags, *tags])),
        "ideal_completions_data": _ideal(task),
    }


def to_verifiers(task: RubricTask) -> dict[str, Any]:
    """A row for an environment of the verifiers library: ``prompt``, ``answer``, ``info``."""
    info = task.model_dump(mode="json", exclude_defaults=True)
    answer = task.verifier.answer if task.verifier is not None else task.reference
    for name in ("messages", "reference", "provenance", "measured"):
        info.pop(name, None)
    return {
        "prompt": [turn.model_dump() for turn in task.messages],
        "answer": answer,
        "info": info,
    }


def _ideal(task: RubricTask) -> dict[str, Any] | None:
    if not task.reference:
        return None
    others = [found.text for found in task.references if found.kind == "model_reference"]
    group = next((found.group for found in task.references if found.group), None)
    return {
        "ideal_completion": task.reference,
        "ideal_completions_group": group,
        "ideal_completions_ref_completions": others,
    }


EXPORTS = {"kos": to_kos, "healthbench": to_healthbench, "verifiers": to_verifiers}
