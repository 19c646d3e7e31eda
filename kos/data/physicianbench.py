"""PhysicianBench: an agent's task as an instruction, an environment, and checkpoints.

It comes as one JSON object a task (``task, checkpoints, ...``), or as a folder of tasks, each
with ``checkpoints.json``, ``instruction.md`` and ``task.toml``. Every checkpoint is worth a
point; a task is solved when all of them pass, and PARTIAL is not a pass.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kos.data.lines import parse, read_document
from kos.errors import UserError

MAX_PART_BYTES = 4_000_000
CHECKPOINTS, INSTRUCTION, TASK = "checkpoints.json", "instruction.md", "task.toml"


def read_folder(folder: Path) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Each task below ``folder`` by its path: its row, or a sentence on what is wrong with it."""
    files = sorted(folder.rglob(CHECKPOINTS))
    if not files:
        raise UserError(f"no {CHECKPOINTS} below {folder.name}: each task's folder holds one")
    for file in files:
        name = file.parent.relative_to(folder).as_posix()
        try:
            yield name, _row(file.parent, name if name != "." else folder.name)
        except (UserError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            yield name, str(error)


def _row(folder: Path, name: str) -> dict[str, Any]:
    found = parse(read_document(folder / CHECKPOINTS, max_bytes=MAX_PART_BYTES))
    if not isinstance(found, list | dict):
        raise UserError(f"{CHECKPOINTS} is neither a list nor an object")
    row: dict[str, Any] = {"checkpoints": found} if isinstance(found, list) else dict(found)
    row.setdefault("task", name)
    if (folder / TASK).is_file():
        about = tomllib.loads(read_document(folder / TASK, max_bytes=MAX_PART_BYTES).decode())
        row = {key: value for key, value in about.items() if not isinstance(value, dict)} | row
    if (folder / INSTRUCTION).is_file():
        row["instruction"] = read_document(folder / INSTRUCTION, max_bytes=MAX_PART_BYTES).decode()
    cards = sorted(folder.glob("runs/*/scorecard.json"))
    if cards:
        row["scorecard"] = parse(read_document(cards[-1], max_bytes=MAX_PART_BYTES))
    return row


def read(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``{task, checkpoints, ...}`` as the fields of a ``RubricTask``; raises UserError."""
    task = str(row.get("task") or row.get("case_id") or "")
    said = str(row.get("instruction") or "").strip()
    words = task.rpartition("/")[2].replace("_", " ")
    wanted = row.get("deliverables") or row.get("deliverable") or []
    files = [wanted] if isinstance(wanted, str) else [str(name) for name in wanted]
    specialty = task.partition("-")[0].partition("/")[0] if "/" in task else ""
    return {
        "id": task.replace("/", "-")[:120],
        "messages": _said(said or f"Task: {words}. Deliver {', '.join(files) or 'your report'}."),
        "rubric": [_checkpoint(point) for point in _points(row)],
        "split": "test",
        "specialty": str(row.get("specialty") or specialty),
        "tags": [f"task_type:{row['task_type']}"] if row.get("task_type") else [],
        "environment": {
            "tools": sorted(_tools(_points(row))),
            "patient_id": str(row.get("patient_id") or ""),
            "timestamp": str(row.get("task_timestamp") or row.get("target_date") or ""),
            "deliverables": files,
            "data": {
                name: row[name] for name in ("scorecard", "data_file") if row.get(name) is not None
            },
        },
        "sources": [str(row["source"])] if row.get("source") else ["PhysicianBench"],
        "licence": "Apache-2.0",
        "language": str(row.get("language") or ""),
        "restricted": "canary" in row,
        "canary": str(row.get("canary") or ""),
    }


def _checkpoint(point: Any) -> dict[str, Any]:
    if not isinstance(point, dict):
        raise UserError("a checkpoint is not an object")
    key = str(point.get("id") or point.get("checkpoint_id") or "")
    params = object_of(point, "params")
    truth = point.get("ground_truth", params.get("expected", ""))
    known = {
        "id", "checkpoint_id", "text", "description", "kind", "eval_method", "layer",
        "params", "ground_truth", "determinism",
    }  # fmt: skip
    params |= {name: value for name, value in point.items() if name not in known}
    text = str(point.get("text") or point.get("description") or truth or key)
    return {
        "key": key,
        "text": text,
        "points": 1,
        "tags": [f"layer:{point['layer']}"] if point.get("layer") else [],
        "checkpoint": {
            "kind": str(point.get("kind") or point.get("eval_method") or ""),
            "params": params,
            "ground_truth": truth if isinstance(truth, str) else json.dumps(truth),
            "determinism": str(point.get("determinism") or ""),
        },
    }


def object_of(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object under ``name``, or an empty one; raises UserError for another type."""
    found = row.get(name) or {}
    if not isinstance(found, dict):
        raise UserError(f"{name} must be an object, found {type(found).__name__}")
    return dict(found)


def _tools(points: Sequence[Any]) -> set[str]:
    names = ("required_tools", "any_of_tools")
    rows = [point for point in points if isinstance(point, dict)]
    return {str(tool) for row in rows for name in names for tool in row.get(name) or []}


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _points(row: Mapping[str, Any]) -> Sequence[Any]:
    found = row.get("checkpoints")
    if not isinstance(found, list):
        raise UserError(f"checkpoints must be a list, found {type(found).__name__}")
    return found
