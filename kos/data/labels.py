"""What people said of graded items: HealthBench's meta-evaluation set, and Kos's own reviews.

One row is an answer and one criterion with the verdicts of several physicians. It measures a
judge; it is no prompt to train on or to evaluate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kos.data.formats import messages
from kos.data.lines import Line, parse_object, read_lines, refuse_unkept
from kos.data.readers import LineProblem, first_of
from kos.data.rubrics import MOST_POINTS
from kos.errors import UserError

NEEDED = ("prompt", "completion", "rubric", "binary_labels")


@dataclass(frozen=True)
class LabelledAnswer:
    """One answer, one criterion, and who found it met. ``met`` and ``by`` go together.

    ``points`` below 0 say that the criterion names a fault; meta-evaluation rows have none.
    """

    id: str
    prompt_id: str
    messages: tuple[Mapping[str, Any], ...]
    answer: str
    criterion: str
    met: tuple[bool, ...]
    by: tuple[str, ...]
    category: str = ""
    restricted: bool = False
    points: float = 1.0


@dataclass
class LabelReport:
    """The usable rows of a file, and what is wrong in which line."""

    rows: list[LabelledAnswer] = field(default_factory=list)
    problems: list[LineProblem] = field(default_factory=list)

    @property
    def num_labels(self) -> int:
        """Verdicts in all."""
        return sum(len(row.met) for row in self.rows)


def is_labels(row: Mapping[str, Any]) -> bool:
    """Whether a row is of this shape."""
    return {"binary_labels", "completion"} <= row.keys()


def read_labels(path: Path) -> LabelReport:
    """Read JSON lines of labels; raises UserError when none is usable."""
    report = _read(read_lines(path))
    if not report.rows:
        raise UserError(f"no usable label in the file{first_of(report.problems)}")
    return report


def _read(lines: Iterable[Line]) -> LabelReport:
    report, seen = LabelReport(), dict[str, int]()
    for line in lines:
        try:
            row = row_of(parse_object(line.text))
        except UserError as error:
            report.problems.append(LineProblem(line.number, str(error)))
            continue
        if row.id in seen:
            text = f"the same answer and criterion stand in line {seen[row.id]}"
            report.problems.append(LineProblem(line.number, text))
        else:
            seen[row.id] = line.number
            report.rows.append(row)
    return report


def row_of(row: Mapping[str, Any]) -> LabelledAnswer:
    """A row of a meta-evaluation file; raises UserError that says what is wrong with it."""
    missing = [name for name in NEEDED if name not in row]
    if missing:
        raise UserError(f"no {', '.join(missing)}; a row of labels has {', '.join(NEEDED)}")
    refuse_unkept(row)
    labels, people = row["binary_labels"], row.get("anonymized_physician_ids") or []
    if not isinstance(labels, list) or not labels or {type(one) for one in labels} != {bool}:
        raise UserError("binary_labels must be a list of true and false that is not empty")
    if not isinstance(people, list):
        raise UserError("anonymized_physician_ids must be a list")
    if people and len(people) != len(labels):
        raise UserError(f"{len(labels)} labels and {len(people)} physicians do not go together")
    if not isinstance(row["rubric"], str) or not isinstance(row["completion"], str):
        raise UserError("rubric and completion must be texts")
    prompt_id = str(row.get("prompt_id") or "")
    answer_id = str(row.get("completion_id") or "")
    named = "\n".join((prompt_id, answer_id, row["completion"], row["rubric"]))
    return LabelledAnswer(
        id=hashlib.sha256(named.encode()).hexdigest(),
        prompt_id=prompt_id,
        messages=tuple(_said(messages(row["prompt"]))),
        answer=row["completion"],
        criterion=row["rubric"],
        met=tuple(labels),
        by=tuple(str(one) for one in people) or tuple(f"rater {n}" for n in range(len(labels))),
        category=str(row.get("category") or ""),
        restricted="canary" in row or row.get("restricted") is True,
        points=_points(row.get("points")),
    )


def _said(rows: list[Any]) -> Iterator[Mapping[str, Any]]:
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or not isinstance(row.get("content"), str):
            raise UserError(f"message {number} of the prompt is no object with a text as content")
        yield row


def _points(given: Any) -> float:
    if given is None:
        return 1.0
    if isinstance(given, bool) or not isinstance(given, int | float) or not given:
        raise UserError(f"points must be a number other than 0, found {given!r}")
    if abs(given) > MOST_POINTS:
        raise UserError(f"points are beyond {MOST_POINTS:,}")
    return float(given)


def of_json(row: Mapping[str, Any]) -> LabelledAnswer:
    """A row as ``asdict`` left it."""
    return LabelledAnswer(
        **{
            **row,
            "messages": tuple(row["messages"]),
            "met": tuple(row["met"]),
            "by": tuple(row["by"]),
        }
    )
