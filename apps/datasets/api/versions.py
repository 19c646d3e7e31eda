"""Sets and their versions, statistics, repeats, overlap, and what differs between two."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status

from apps.accounts.auth import require_engineer, user_in
from apps.automation.paging import Page, Paging, page, shown, slice_page
from apps.automation.rest import Id
from apps.datasets import browsing, diffing, repeats, services, statistics
from apps.datasets import versions as standing
from apps.datasets.api.shapes import VersionOut, WorkOut, find, router, versions
from apps.datasets.models import LabelSet, Work
from kos.data.overlap import THRESHOLD


class DatasetOut(Schema):
    """A named set, with the numbers of its latest version."""

    id: int
    name: str
    description: str
    latest: int | None = Field(alias="latest_pk", description="Id of the latest version.")
    num_examples: int | None
    num_items: int | None
    created: datetime


class SetsWanted(Paging):
    q: str = Field("", max_length=200, description="In the name or the description.")
    sort: Literal["", "name", "prompts", "items"] = ""
    shown: Literal["", "restricted", "demonstration", "draft"] = ""


class VersionsWanted(Paging):
    dataset: Id | None = Field(None, description="Id of a dataset.")
    name: str = Field("", max_length=120, description="Name of a dataset.")
    q: str = Field("", max_length=120, description="In the name of the dataset.")
    is_restricted: bool | None = None


class OverlapWanted(Paging):
    evaluation: Id
    threshold: float = Field(THRESHOLD, ge=0.05, le=1)


class OverlapOut(Schema):
    """Two prompts that say the same, by their ids."""

    train_id: str
    evaluation_id: str
    share: float


class DiffWanted(Paging):
    base: Id = Field(description="The version to hold this one against.")
    kind: Literal["added", "removed", "changed"] = "changed"


class FieldChangeOut(Schema):
    label: str
    before: str
    after: str


class ExampleChangeOut(Schema):
    kind: str
    external_id: str
    fields: list[FieldChangeOut] = Field(description="Empty where the text is restricted.")


class DiffOut(Schema):
    """How much differs, the numbers before and after, and a page of the examples of one kind."""

    added: int
    removed: int
    changed: int
    numbers: list[dict[str, Any]]
    items: list[ExampleChangeOut]
    next: str | None


class LabelSetOut(Schema):
    id: int
    name: str
    digest: str
    source: str
    is_restricted: bool
    created: datetime


@router.get("/", response=Page[VersionOut], summary="List versions, newest first")
def list_(request: HttpRequest, wanted: Query[VersionsWanted]) -> dict[str, Any]:
    found = versions(request)
    if wanted.dataset:
        found = found.filter(dataset=wanted.dataset)
    if wanted.name:
        found = found.filter(dataset__name=wanted.name)
    if wanted.q:
        found = found.filter(dataset__name__icontains=wanted.q)
    if wanted.is_restricted is not None:
        found = found.filter(is_restricted=wanted.is_restricted)
    key = ("-created", "-pk")
    return page(found, cursor=wanted.cursor, limit=wanted.limit, key=key)


@router.get("/sets", response=Page[DatasetOut], summary="List datasets by their names")
def list_sets(request: HttpRequest, wanted: Query[SetsWanted]) -> dict[str, Any]:
    found = browsing.datasets(wanted.q, wanted.sort, shown=wanted.shown)
    return slice_page(found, cursor=wanted.cursor, limit=wanted.limit, key=f"sets:{wanted.sort}")


@router.get("/labels", response=Page[LabelSetOut], summary="Verdicts of people, set by set")
def list_labels(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    found = LabelSet.objects.all()
    return page(found, cursor=wanted.cursor, limit=wanted.limit, key=("-created", "-pk"))


@router.get("/{int:pk}", response=VersionOut, summary="Get a version")
def get(request: HttpRequest, pk: int) -> Any:
    return find(request, pk)


@router.delete("/{int:pk}", response={204: None}, summary="Forget a version")
def delete(request: HttpRequest, pk: int) -> Status[None]:
    """409, with the names, where a run, a draft or an evaluation stands on it."""
    require_engineer(request)
    standing.delete_version(find(request, pk))
    return Status(204, None)


@router.get("/{int:pk}/statistics", response=dict[str, Any], summary="What a version holds")
def get_statistics(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Counts of prompts, items, points, lengths, tags and slices."""
    return dict(statistics.facts_of(find(request, pk)))


@router.get("/{int:pk}/overlap", response=Page[OverlapOut], summary="Prompts in two versions")
def check_overlap(request: HttpRequest, pk: int, wanted: Query[OverlapWanted]) -> dict[str, Any]:
    """Prompts of this version that repeat prompts of version `evaluation`, by id."""
    pairs = services.find_overlaps(
        find(request, pk), find(request, wanted.evaluation), threshold=wanted.threshold
    )
    key = f"overlap:{wanted.threshold}"
    found = slice_page(pairs, cursor=wanted.cursor, limit=wanted.limit, key=key)
    return shown(found, lambda pair: pair._asdict())


@router.post("/{int:pk}/repeats", response={202: WorkOut}, summary="Find repeated prompts")
def find_repeats(request: HttpRequest, pk: int) -> Status[Work]:
    """Once a version; what was found before is given again."""
    return Status(202, repeats.look(find(request, pk), user_in(request)))


@router.get("/{int:pk}/diff", response=DiffOut, summary="What differs from another version")
def diff(request: HttpRequest, pk: int, wanted: Query[DiffWanted]) -> dict[str, Any]:
    new, old = find(request, pk), find(request, wanted.base)
    rows = diffing.rows_of(old, new, wanted.kind)
    found = page(rows, cursor=wanted.cursor, limit=wanted.limit, key=("position", "pk"))
    pairs = diffing.pair(old, wanted.kind, found["items"])
    is_hidden = old.is_restricted or new.is_restricted
    return {
        **{str(kind): num for kind, num in diffing.counts(old, new).items()},
        "numbers": [change._asdict() for change in diffing.numbers(old, new)],
        "items": [_change(one, is_hidden=is_hidden) for one in pairs],
        "next": found["next"],
    }


@router.get("/work/{int:pk}", response=WorkOut, summary="How far some work is")
def get_work(request: HttpRequest, pk: int) -> Work:
    """One's own; engineers see everybody's."""
    user = user_in(request)
    works = Work.objects.all() if user.is_engineer else Work.objects.filter(by=user)
    return get_object_or_404(works, pk=pk)


def _change(change: diffing.ExampleChange, *, is_hidden: bool) -> dict[str, Any]:
    before = change.before.task if change.before else {}
    after = change.after.task if change.after else {}
    hides = is_hidden or before.get("restricted") or after.get("restricted")
    fields = [] if hides or not (before and after) else diffing.fields(before, after)
    return {
        "kind": change.kind,
        "external_id": change.external_id,
        "fields": [
            {"label": one.label, "before": one.before, "after": one.after} for one in fields
        ],
    }
