"""One prompt of an evaluation: its samples, and a score written out item by item."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Schema

from apps.evals import answers, arithmetic, examples
from apps.evals.api.room import ModeName, find, router

Group = Literal["lost", "penalty", "ungraded", "won", "avoided"]


class SheetWanted(Schema):
    example: str = Field(max_length=120, description="The prompt's id.")
    model: str = Field("", max_length=40)
    sample: int | None = Field(None, ge=0, le=10_000)
    mode: ModeName | None = None


class SampleRow(Schema):
    trace: int
    sample: int
    score: float | None


class SheetLine(Schema):
    """An item of the rubric as it counts, beside what the grader said."""

    grade: int
    key: str
    text: str
    points: float
    group: Group = Field(description="What it did to the score.")
    met: bool | None = Field(description="As it counts: a person's verdict over the grader's.")
    grader: str
    grader_met: bool | None
    grader_note: str
    overridden_by: str | None
    reason: str


class SheetOut(Schema):
    trace: int
    model: str
    sample: int
    answer: str = Field(description="Empty where benchmark text is not kept.")
    score: float | None
    grader_score: float | None = Field(description="Without overrides.")
    arithmetic: str
    lines: list[SheetLine]
    samples: list[SampleRow]
    models: list[str]


@router.get("/runs/{int:pk}/sheet", response=SheetOut, summary="One prompt's score, written out")
def get_sheet(request: HttpRequest, pk: int, wanted: Query[SheetWanted]) -> dict[str, Any]:
    """One answer's items by what they did to the score, and the model's other samples."""
    run = find(request, pk)
    mode = answers.mode_of(run, wanted.mode or "")
    sample = "" if wanted.sample is None else str(wanted.sample)
    found = examples.find(run, wanted.example, mode, (wanted.model, sample))
    return {
        "trace": found.trace.pk,
        "model": found.trace.model,
        "sample": found.trace.sample,
        "answer": found.trace.answer,
        "score": found.sheet.score,
        "grader_score": found.sheet.original,
        "arithmetic": found.sheet.text,
        "lines": _lines(found.sheet),
        "samples": [
            {"trace": one.pk, "sample": one.sample, "score": score} for one, score in found.samples
        ],
        "models": found.models,
    }


def _lines(sheet: arithmetic.Sheet) -> list[dict[str, Any]]:
    groups: list[tuple[Group, list[arithmetic.Line]]] = [
        ("lost", sheet.lost),
        ("penalty", sheet.penalties),
        ("ungraded", sheet.ungraded),
        ("won", sheet.won),
        ("avoided", sheet.avoided),
    ]
    return [_line(line, group) for group, lines in groups for line in lines]


def _line(line: arithmetic.Line, group: Group) -> dict[str, Any]:
    grade, override = line.grade, line.override
    return {
        "grade": grade.pk,
        "key": grade.key,
        "text": grade.text,
        "points": grade.points,
        "group": group,
        "met": line.met,
        "grader": grade.grader,
        "grader_met": grade.met,
        "grader_note": grade.note,
        "overridden_by": override.by.username if override else None,
        "reason": override.reason if override else "",
    }
