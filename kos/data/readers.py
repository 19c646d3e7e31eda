"""Readers of rubric files: Kos's own JSONL, HealthBench, and HealthBench Professional.

A file is read line by line. A line that cannot be used is named with its number and what is
wrong; the good ones are kept, and the caller decides whether to go on without the others.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kos.data.rubrics import RubricTask
from kos.errors import UserError

MAX_LINE_BYTES = 4_000_000
MAX_FILE_BYTES = 1_000_000_000


@dataclass(frozen=True)
class LineProblem:
    """Why one line was left out; ``line`` counts from 1."""

    line: int
    text: str


@dataclass
class ImportReport:
    """What a file holds: the usable tasks, and what is wrong in which line."""

    format: str
    tasks: list[RubricTask] = field(default_factory=list)
    problems: list[LineProblem] = field(default_factory=list)

    @property
    def is_restricted(self) -> bool:
        """Whether any task carries a benchmark's canary."""
        return any(task.restricted for task in self.tasks)


def read_file(path: Path) -> ImportReport:
    """Read a ``.jsonl`` or ``.jsonl.gz`` file; raises UserError when nothing in it is usable."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as lines:
            return read_tasks(lines)
    except (OSError, EOFError) as error:
        raise UserError(f"{path.name} cannot be read: {error}") from error


def read_tasks(lines: Iterable[bytes | str]) -> ImportReport:
    """Read JSON lines of any of the three formats; raises UserError when none is usable."""
    report = ImportReport(format="")
    seen: dict[str, int] = {}
    read_bytes = 0
    for number, line in enumerate(lines, start=1):
        read_bytes += len(line)
        if read_bytes > MAX_FILE_BYTES:
            raise UserError(f"the file is larger than {MAX_FILE_BYTES // 10**6} MB unpacked")
        if not line.strip():
            continue
        try:
            task = _task(line, report, seen)
        except UserError as error:
            report.problems.append(LineProblem(number, str(error)))
        else:
            seen[task.id] = number
            report.tasks.append(task)
    if not report.tasks:
        first = f" (line {report.problems[0].line}: {report.problems[0].text})"
        raise UserError("no usable prompt in the file" + (first if report.problems else ""))
    return report


def _task(line: bytes | str, report: ImportReport, seen: Mapping[str, int]) -> RubricTask:
    if len(line) > MAX_LINE_BYTES:
        raise UserError(f"the line has {len(line):,} bytes; {MAX_LINE_BYTES:,} is the most")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON: {error}") from error
    if not isinstance(row, dict):
        raise UserError("each line must be a JSON object")
    report.format = report.format or _format_of(row)
    try:
        task = RubricTask.model_validate(READERS[_format_of(row)](row))
    except ValidationError as error:
        raise UserError(_sentence(error)) from error
    if task.id in seen:
        raise UserError(f"id {task.id!r} already stands in line {seen[task.id]}")
    return task


def _format_of(row: Mapping[str, Any]) -> str:
    if "rubric" in row and "messages" in row:
        return "kos"
    if "rubrics" in row and "prompt" in row:
        return "healthbench"
    if "rubric_items" in row and "conversation" in row:
        return "healthbench_professional"
    raise UserError(
        "neither Kos (messages, rubric) nor HealthBench (prompt, rubrics) nor HealthBench "
        f"Professional (conversation, rubric_items): it has {', '.join(sorted(row)[:8]) or 'no'}"
        " fields"
    )


def _sentence(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    rest = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place or 'row'}: {problem['msg']}{rest}"


def _from_kos(row: Mapping[str, Any]) -> dict[str, Any]:
    return dict(row)


def _from_healthbench(row: Mapping[str, Any]) -> dict[str, Any]:
    tags = _list(row, "example_tags")
    ideal = row.get("ideal_completions_data") or {}
    return {
        "id": row.get("prompt_id"),
        "messages": _list(row, "prompt"),
        "rubric": _items(_list(row, "rubrics"), "criterion"),
        "split": "test",
        "tags": tags,
        "reference": (ideal.get("ideal_completion") or "") if isinstance(ideal, dict) else "",
        "sources": ["HealthBench, arXiv:2505.08775"],
        "licence": "MIT",
        "restricted": "canary" in row,
    }


def _from_professional(row: Mapping[str, Any]) -> dict[str, Any]:
    conversation = row.get("conversation")
    specialty = str(row.get("specialty", ""))
    return {
        "id": row.get("id"),
        "messages": _list(conversation if isinstance(conversation, dict) else {}, "messages"),
        "rubric": _items(_list(row, "rubric_items"), "criterion_text"),
        "split": "test",
        "use_case": row.get("use_case", "other"),
        "type": row.get("type", "other"),
        "difficulty": row.get("difficulty", "other"),
        "specialty": specialty,
        "tags": [f"specialty:{specialty}"] if specialty else [],
        "reference": row.get("physician_response") or "",
        "sources": ["HealthBench Professional, arXiv:2604.27470"],
        "licence": "MIT",
        "restricted": "canary" in row,
    }


def _items(rows: list[Any], criterion: str) -> list[dict[str, Any]]:
    """Rubric items whose key is a hash of the criterion: equal criteria share it."""
    items: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise UserError(f"rubric item {number} is not an object")
        text = row.get(criterion)
        key = f"c-{hashlib.sha256(str(text).encode()).hexdigest()[:10]}"
        key = key if key not in items else f"{key}-{number}"
        items[key] = {
            "key": key,
            "text": text,
            "points": row.get("points"),
            "tags": row.get("tags") or [],
        }
    return list(items.values())


def _list(row: Mapping[str, Any], name: str) -> list[Any]:
    value = row.get(name)
    if not isinstance(value, list):
        raise UserError(f"{name} must be a list, found {type(value).__name__}")
    return value


READERS = {
    "kos": _from_kos,
    "healthbench": _from_healthbench,
    "healthbench_professional": _from_professional,
}
