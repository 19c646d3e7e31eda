"""What stands behind an answer, what one rubric item graded, and two answers side by side."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema

from apps.accounts.auth import require_reader
from apps.automation.paging import Page, Paging, page
from apps.automation.rest import Id
from apps.traces import comparing, origins, rubric
from apps.traces.api.room import router
from apps.traces.forms import AnswerFilter
from apps.traces.models import Trace


class OriginStep(Schema):
    """One thing behind an answer, the nearest first."""

    kind: str
    name: str
    status: str
    facts: dict[str, str]


class OriginOut(Schema):
    steps: list[OriginStep]
    versions: dict[str, str] = Field(description="How it was asked.")


class ItemAsked(Schema):
    """The item of one prompt, or of every prompt that has its key."""

    item: str = Field(min_length=1, max_length=80, description="Key of the rubric item.")
    example: str = Field("", max_length=120, description="Number or id of the prompt.")


class MetOut(Schema):
    """How often a model met the item, of its answers that were graded."""

    run_id: int | None
    run: str
    model: str
    num: int
    num_met: int


class StepMet(Schema):
    step: int
    num: int
    num_met: int


class TrainingOut(Schema):
    """A run over its steps."""

    run_id: int
    run: str
    steps: list[StepMet]


class AgreementOut(Schema):
    """What reviewers said beside the grader."""

    num: int
    num_agreed: int
    num_unsure: int


class ItemGraded(Schema):
    key: str
    text: str
    points: float
    num: int = Field(description="Answers that were counted, the newest ones.")
    is_cut: bool = Field(description="There are older ones, which were not counted.")
    trainings: list[TrainingOut]
    evaluations: list[MetOut]
    chats: list[MetOut]
    agreement: AgreementOut | None
    deployments: list[str] = Field(description="They answer with what these trainings made.")


class GradesWanted(Paging):
    """Of the answers that the item graded, those that fit."""

    item: str = Field(min_length=1, max_length=80, description="Key of the rubric item.")
    example: str = Field("", max_length=120, description="Number or id of the prompt.")
    met: Literal["", "yes", "no", "open"] = ""
    origin: Literal["", "rollout", "evaluation", "chat", "api"] = ""
    run: Id | None = None
    model: str = Field("", max_length=40)
    reviewed: bool = False


class GradeRow(Schema):
    id: int
    trace_id: int
    met: bool | None
    points: float
    grader: str
    note: str


class Two(Schema):
    a: Id
    b: Id


class PartOut(Schema):
    text: str
    is_shared: bool = Field(description="The other says it too, at the same place.")


class TracesCompared(Schema):
    a: list[PartOut]
    b: list[PartOut]
    likeness: float = Field(description="Twice the shared words over all words, 0 to 1.")
    is_same_question: bool


@router.get("/rubric", response=ItemGraded, summary="What one rubric item graded")
def get_item(request: HttpRequest, asked: Query[ItemAsked]) -> dict[str, Any]:
    """How often it was met over each training and by each model, and whether people agree."""
    require_reader(request)
    found = rubric.summed(rubric.subject(asked.example, asked.item))
    item, counted = found["item"], ("num", "is_cut", "evaluations", "chats", "agreement")
    return {
        **{name: found[name] for name in counted},
        "key": item.key,
        "text": item.text,
        "points": item.points,
        "trainings": [
            {
                "run_id": one.run_id,
                "run": one.run,
                "steps": [dict(zip(StepMet.model_fields, row, strict=True)) for row in one.steps],
            }
            for one in found["trainings"]
        ],
        "deployments": [node.name for node in found["shaped"]],
    }


@router.get("/grades", response=Page[GradeRow], summary="List the grades of a rubric item")
def list_grades(request: HttpRequest, wanted: Query[GradesWanted]) -> dict[str, Any]:
    """Newest first."""
    require_reader(request)
    asked = rubric.subject(wanted.example, wanted.item)
    form = AnswerFilter(wanted.dict(exclude={"cursor", "limit", "item", "example"}))
    grades = rubric.narrowed(rubric.grades_of(asked), form)
    return page(grades, cursor=wanted.cursor, limit=wanted.limit)


@router.get(
    "/compare",
    response=TracesCompared,
    summary="Compare two answers",
    # Its query, and not its path, names what may be missing.
    openapi_extra={"responses": {404: {"description": "Not Found"}}},
)
def compare(request: HttpRequest, asked: Query[Two]) -> dict[str, Any]:
    """Word by word."""
    visible = Trace.objects.visible_to(require_reader(request))
    left, right = (get_object_or_404(visible, pk=pk) for pk in (asked.a, asked.b))
    found = comparing.difference(left.answer, right.answer)
    return {
        "a": [part._asdict() for part in found.left],
        "b": [part._asdict() for part in found.right],
        "likeness": found.likeness,
        "is_same_question": left.question == right.question,
    }


@router.get("/{int:pk}/origin", response=OriginOut, summary="Where an answer comes from")
def get_origin(request: HttpRequest, pk: int) -> dict[str, Any]:
    """The deployment, the models behind it, the runs that made them, and their data."""
    visible = Trace.objects.visible_to(require_reader(request))
    return origin_of(get_object_or_404(visible, pk=pk))


def origin_of(trace: Trace) -> dict[str, Any]:
    """The way back from an answer, as the calls give it."""
    return {
        "steps": [
            {
                "kind": step.label,
                "name": step.name,
                "status": step.status,
                "facts": {fact.name: str(fact.value) for fact in step.facts},
            }
            for step in origins.steps(trace)
        ],
        "versions": {fact.name: fact.value for fact in origins.versions(trace)},
    }
