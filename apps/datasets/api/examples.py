"""The prompts of a version, and an answer tried on a rubric."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema

from apps.accounts.auth import BearerAuth
from apps.accounts.models import Scope
from apps.automation.paging import Page, Paging, page, shown
from apps.automation.rest import In
from apps.datasets import browsing, trying
from apps.datasets.api.shapes import find, router
from apps.datasets.models import Example
from kos.errors import UserError

FILTERS = ("split", "use_case", "specialty", "difficulty")


class ExamplesWanted(Paging):
    q: str = Field(
        "", max_length=200, description='Words, "a phrase", -without. Never restricted.'
    )
    split: Literal["", "train", "dev", "test"] = ""
    use_case: str = Field("", max_length=20)
    specialty: str = Field("", max_length=60)
    difficulty: str = Field("", max_length=12)
    id: str = Field("", max_length=120, description="The example's own id.")


class ExampleOut(Schema):
    """A prompt with its rubric; `task` is null where its text must not be shown."""

    id: int
    external_id: str
    position: int
    split: str
    use_case: str
    specialty: str
    difficulty: str
    num_items: int
    task: dict[str, Any] | None


class TryIn(In):
    """An answer that somebody wrote, to be held against the rubric."""

    answer: str = Field(max_length=trying.MAX_ANSWER_CHARS)


class ItemTriedOut(Schema):
    key: str
    text: str
    points: float
    met: bool | None = Field(description="null: a judge decides.")
    note: str
    found: list[str]
    missing: list[str]


class TriedOut(Schema):
    """What the rules decide at once; what a judge decides leaves the score between two ends."""

    score: float | None
    lowest: float | None
    highest: float | None
    points: float
    possible: float
    num_ungraded: int
    verified: bool | None
    items: list[ItemTriedOut]


@router.get("/{int:pk}/examples", response=Page[ExampleOut], summary="The prompts of a version")
def list_examples(request: HttpRequest, pk: int, wanted: Query[ExamplesWanted]) -> dict[str, Any]:
    version = find(request, pk)
    filters = {name: value for name in FILTERS if (value := getattr(wanted, name))}
    found = browsing.narrow(version, filters, wanted.q).select_related("version")
    if wanted.id:
        found = found.filter(external_id=wanted.id)
    rows = page(found, cursor=wanted.cursor, limit=wanted.limit, key=("position", "pk"))
    return shown(rows, _out)


@router.get("/examples/{int:pk}", response=ExampleOut, summary="One prompt with its rubric")
def get_example(request: HttpRequest, pk: int) -> dict[str, Any]:
    return _out(_example(request, pk))


@router.post(
    "/examples/{int:pk}/try",
    response=TriedOut,
    summary="Try an answer on a rubric",
    auth=BearerAuth(Scope.DATASETS_READ),
)
def try_answer(request: HttpRequest, pk: int, body: TryIn) -> dict[str, Any]:
    """By its rules alone, at once; nothing is kept and no judge is asked."""
    task = browsing.task_of(_example(request, pk))
    if task is None:
        raise UserError(
            "this is benchmark text, which is not shown; answers cannot be tried on it"
        )
    return tried_out(trying.try_answer(task, body.answer))


def _example(request: HttpRequest, pk: int) -> Example:
    example = get_object_or_404(Example.objects.select_related("version__dataset"), pk=pk)
    find(request, example.version_id)
    return example


def _out(example: Example) -> dict[str, Any]:
    names = ("id", "external_id", "position", "split", "use_case", "specialty", "num_items")
    return {
        **{name: getattr(example, name) for name in names},
        "difficulty": example.difficulty,
        "task": None if browsing.is_hidden(example) else example.task,
    }


def tried_out(tried: trying.Tried) -> dict[str, Any]:
    """An answer on a rubric as ``TriedOut`` has it."""
    names = ("score", "lowest", "highest", "points", "possible", "num_ungraded", "verified")
    return {
        **{name: getattr(tried, name) for name in names},
        "items": [
            {
                "key": one.item.key,
                "text": one.item.text,
                "points": one.item.points,
                "met": one.met,
                "note": one.note,
                "found": list(one.found),
                "missing": list(one.missing),
            }
            for one in tried.items
        ],
    }
