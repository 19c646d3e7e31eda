"""A file on its way in: read and shown before anything is kept, then kept as a version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apps.accounts.models import User
from apps.datasets import services, statistics, work
from apps.datasets.models import Work
from apps.datasets.work import Told
from kos.data.formats import FieldMap
from kos.data.labels import LabelReport, read_labels
from kos.data.readers import ImportReport, LineProblem, kind_of, read_file
from kos.data.rubrics import RubricTask
from kos.errors import UserError

SHOWN_ROWS = 20
KEPT_PROBLEMS = 2000
# Files up to here are read while the page waits: a second at most.
SHORT_BYTES = 3_000_000
SHORT_PACKED_BYTES = 500_000


def read(path: Path, original: str, *, by: User, **told: Any) -> Work:
    """Read an uploaded file without keeping it; the work's result is what it holds."""
    told |= {"path": str(path), "original": original}
    return work.start(Work.Kind.READ, do_read, by=by, told=told, is_long=is_long(path))


def keep(path: Path, original: str, *, by: User, **told: Any) -> Work:
    """Keep an uploaded file as a version, or as a label set."""
    told |= {"path": str(path), "original": original}
    return work.start(Work.Kind.KEEP, do_keep, by=by, told=told, is_long=is_long(path))


def is_long(path: Path) -> bool:
    """Whether reading it takes longer than a page may wait."""
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return path.stat().st_size > (SHORT_PACKED_BYTES if is_packed else SHORT_BYTES)


def do_read(task: Work, told: Told) -> dict[str, Any]:
    """What the file holds: counts, the first prompts, and what is wrong in which line."""
    path = Path(task.told["path"])
    kind = kind_of(path)
    if kind == "finished":
        raise UserError(
            "this is a finished evaluation, with verdicts in it; import it under Evaluations"
        )
    if kind == "labels":
        return _labels_shown(read_labels(path))
    report = read_file(
        path,
        fields=_fields(task.told),
        query=task.told.get("query", ""),
        told=lambda num: told(num, 0),
    )
    return _shown(report)


def do_keep(task: Work, told: Told) -> dict[str, Any]:
    """Keep the file; the result says which version or label set holds it now."""
    path, original = Path(task.told["path"]), task.told["original"]
    name = task.told.get("name", "").strip() or original
    if kind_of(path) == "labels":
        found, labels = services.import_labels(name, path, user=task.by, source=original)
        return {"labels": found.pk, "said": f"{found} stands, with {labels.num_labels} labels."}
    version, report = services.import_file(
        name,
        path,
        user=task.by,
        description=task.told.get("description", ""),
        source=original[:200],
        fields=_fields(task.told),
        query=task.told.get("query", ""),
        note=task.told.get("note", ""),
        told=told,
    )
    path.unlink(missing_ok=True)
    is_old = version.created < task.created
    said = f"{version} stands, with {len(report.tasks)} prompts."
    return {
        "version": version.pk,
        "said": f"{version} holds exactly these rows already." if is_old else said,
    }


def _fields(told: dict[str, Any]) -> FieldMap | None:
    fields = told.get("fields")
    return FieldMap(**fields) if fields else None


def _shown(report: ImportReport) -> dict[str, Any]:
    facts = statistics.tally(
        task.model_dump(mode="json", exclude_defaults=True) for task in report.tasks
    )
    return {
        "kind": "tasks",
        "format": report.format,
        "is_restricted": report.is_restricted,
        "num_tasks": len(report.tasks),
        "num_items": facts["num_items"],
        "num_judged": facts["num_judged"],
        "num_verified": facts["num_verified"],
        "splits": statistics.by_slice(facts["cells"], 0),
        "rows": [] if report.is_restricted else _rows(report.tasks[:SHOWN_ROWS]),
        **_wrong(report.problems),
        "notices": _said(report.notices),
        "num_notices": len(report.notices),
    }


def _rows(tasks: Sequence[RubricTask]) -> list[dict[str, Any]]:
    return [
        {
            "id": task.id,
            "prompt": task.messages[-1].content[:200],
            "split": task.split,
            "use_case": task.use_case,
            "specialty": task.specialty,
            "num_items": len(task.rubric),
            "points": sum(item.points for item in task.rubric if item.points > 0),
            "decided": sorted({item.kind for item in task.rubric})
            + (["verifier"] if task.verifier else []),
        }
        for task in tasks
    ]


def _labels_shown(report: LabelReport) -> dict[str, Any]:
    return {
        "kind": "labels",
        "num_answers": len(report.rows),
        "num_labels": report.num_labels,
        **_wrong(report.problems),
    }


def _wrong(problems: Sequence[LineProblem]) -> dict[str, Any]:
    return {"problems": _said(problems), "num_problems": len(problems)}


def _said(problems: Sequence[LineProblem]) -> list[dict[str, Any]]:
    return [{"line": one.line, "text": one.text} for one in problems[:KEPT_PROBLEMS]]
