"""What reviews leave behind for training and for judging judges. Benchmark text never leaves."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from typing import Any, NamedTuple

from apps.accounts.models import User
from apps.datasets import services as datasets
from apps.datasets.models import Example, LabelSet
from apps.evals import effective
from apps.reviews import agreement
from apps.reviews.models import Item, Queue, Review, Verdict
from apps.traces.models import Grade, Trace
from kos.data.labels import row_of
from kos.errors import UserError


def training(queue: Queue) -> Iterator[str]:
    """One line an answer that is done: its task, the answer, and the labels that count.

    ``task`` is a ``kos.data.rubrics.RubricTask``; ``labels`` say of every rubric item whether
    it is met, who said so, and what the grader had said.
    """
    items = queue.items.filter(
        status=Item.Status.DONE, repeat_of=None, trace__is_restricted=False
    ).select_related("trace__run")
    for item in items.iterator(chunk_size=200):
        grades = [*effective.grades_of(item.trace_id)]
        if grades:
            yield _line(
                {
                    "task": _task(item.trace, grades),
                    "completion_id": _completion_id(item.trace),
                    "answer": item.trace.answer,
                    "labels": [_label(grade) for grade in grades],
                }
            )


def labels(queue: Queue) -> Iterator[str]:
    """One line a rubric item with people's labels, in the shape of HealthBench's meta-evaluation."""
    for verdicts in _by_grade(queue):
        if not verdicts[0].review.item.trace.is_restricted:
            yield _line(_meta(verdicts))


def keep_labels(queue: Queue, *, by: User) -> LabelSet:
    """The queue's verdicts as a label set; the same verdicts again give the set that is there.

    Benchmark answers are among them: a label set shows no text. Raises UserError without a label.
    """
    found = {row.id: row for row in (row_of(_labelled(group)) for group in _by_grade(queue))}
    if not found:
        raise UserError("No reviewer has handed in a verdict in this queue yet.")
    source = f"reviews of {queue.name}"
    return datasets.keep_labels(queue.name[:120], [*found.values()], source=source, user=by)


def _labelled(verdicts: list[Verdict]) -> dict[str, Any]:
    return _meta(verdicts) | {"restricted": verdicts[0].review.item.trace.is_restricted}


def _by_grade(queue: Queue) -> Iterable[list[Verdict]]:
    """Firm verdicts of first looks, together where they are about one item of one answer."""
    groups: dict[int, list[Verdict]] = {}
    for verdict in agreement.submitted(queue):
        if verdict.is_met is not None and verdict.review.item.repeat_of_id is None:
            groups.setdefault(verdict.grade_id, []).append(verdict)
    return groups.values()


def rows(queue: Queue) -> Iterator[list[object]]:
    """Every verdict as a row for a spreadsheet, its heading first."""
    yield [
        *("item", "repeat", "trace", "prompt", "model", "key", "points", "reviewer", "verdict"),
        *("grader", "grader_met", "note", "quote", "blind", "submitted"),
    ]
    for one in agreement.submitted(queue):
        item, grade, review = one.review.item, one.grade, one.review
        yield [
            *(item.pk, item.repeat_of_id or "", item.trace_id, item.trace.example_id),
            *(item.trace.model, grade.key, grade.points, review.reviewer.username, one.met),
            *(one.judge, "" if one.judged is None else one.judged, one.note, one.quote),
            *(review.was_blind, "" if review.ended is None else review.ended.isoformat()),
        ]


def verdicts(queue: Queue) -> Iterator[str]:
    """The same as lines of a CSV file."""
    for row in rows(queue):
        line = StringIO()
        csv.writer(line).writerow([_plain(value) for value in row])
        yield line.getvalue()


class File(NamedTuple):
    """A kind of file that a queue can be kept as."""

    ending: str
    content_type: str
    write: Callable[[Queue], Iterator[str]]


FILES = {
    "training": File("jsonl", "application/jsonl", training),
    "labels": File("jsonl", "application/jsonl", labels),
    "verdicts": File("csv", "text/csv", verdicts),
}


def _plain(value: object) -> object:
    """A text that a spreadsheet would take for a formula gets a quote in front."""
    is_formula = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if is_formula else value


def _meta(verdicts: list[Verdict]) -> dict[str, Any]:
    first = verdicts[0]
    grade, trace = first.grade, first.review.item.trace
    category = next((tag for tag in grade.tags if tag.startswith("cluster:")), "")
    return {
        "prompt_id": trace.example_id,
        "completion_id": _completion_id(trace),
        "prompt": trace.messages,
        "completion": trace.answer,
        "rubric": grade.text,
        "points": grade.points,
        "category": category or ("positive" if grade.points > 0 else "negative"),
        "binary_labels": [one.is_met for one in verdicts],
        "anonymized_physician_ids": [anonymous(one.review.reviewer) for one in verdicts],
        "grader": first.judge,
        "grader_label": first.judged,
        "adjudicated": _adjudicated(grade),
    }


def anonymous(user: User) -> str:
    """A name for a reviewer that does not tell who it is, the same in every export."""
    return hashlib.sha256(
        f"reviewer:{user.pk}:{user.date_joined.isoformat()}".encode()
    ).hexdigest()[:12]


def _adjudicated(grade: Grade) -> bool | None:
    settled = grade.verdicts.filter(
        review__is_adjudication=True, review__status=Review.Status.SUBMITTED
    ).last()
    return None if settled is None else settled.is_met


def _task(trace: Trace, grades: Iterable[Grade]) -> dict[str, Any]:
    """The dataset's own task; for an answer outside of one, a task made of its grades."""
    version = trace.run.dataset_id if trace.run else None
    example = Example.objects.filter(version=version, external_id=trace.example_id).first()
    if example is not None:
        return dict(example.task)
    return {
        "id": trace.example_id,
        "messages": trace.messages,
        "rubric": [
            {"key": grade.key, "text": grade.text, "points": grade.points, "tags": grade.tags}
            for grade in grades
        ],
    }


def _label(grade: Grade) -> dict[str, Any]:
    override = effective.override_of(grade)
    return {
        "key": grade.key,
        "met": effective.met_of(grade),
        "source": "human" if override else grade.grader,
        "reason": override.reason if override else "",
        "grader": grade.grader,
        "grader_met": grade.met,
    }


def _completion_id(trace: Trace) -> str:
    # simple-evals names a completion by the hash of prompt id and text.
    return hashlib.sha256(f"{trace.example_id}{trace.answer}".encode()).hexdigest()


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
