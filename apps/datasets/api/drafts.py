"""Drafts: edits on their way to the next version, with undo, until they are published."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status
from ninja.errors import HttpError

from apps.accounts.auth import require_engineer, user_in
from apps.automation.paging import Page, Paging, page, shown
from apps.automation.rest import Id, In
from apps.datasets import drafts, publishing
from apps.datasets.api.shapes import WorkOut, find, router
from apps.datasets.models import DraftChange, DraftStep, DraftVersion, Work
from apps.datasets.problems import problems_of
from kos.errors import UserError


class DraftOut(Schema):
    id: int
    dataset: int = Field(alias="dataset_id")
    name: str = Field(alias="dataset.name")
    base: int | None = Field(None, alias="base_id", description="The version that it changes.")
    title: str
    status: str
    published: int | None = Field(None, alias="published_id", description="What came of it.")
    created: datetime
    touched: datetime


class DraftIn(In):
    """On top of a version, or as the first of a new dataset."""

    version: Id | None = Field(None, description="Give this, or `name`.")
    name: str = Field("", max_length=120, description="Of a new dataset.")
    description: str = Field("", max_length=20_000)
    title: str = Field("", max_length=120)


class DraftsWanted(Paging):
    status: Literal["", "open", "published", "discarded"] = "open"
    dataset: Id | None = None


class DraftChangeOut(Schema):
    """An example that differs from the base; `task` is null where it is left out."""

    external_id: str
    kind: str
    revision: int
    task: dict[str, Any] | None
    problems: list[list[str]] = Field(description="Place and sentence: what keeps it from use.")
    at: datetime


class HeldOut(Schema):
    """An example as the draft has it: as in the base at revision 0."""

    external_id: str
    revision: int
    task: dict[str, Any] | None
    problems: list[list[str]]


class TaskIn(In):
    task: dict[str, Any] = Field(description="A whole example; it is kept, usable or not.")


class AddIn(In):
    external_id: str = Field("", max_length=120, description="Empty: one is chosen.")
    task: dict[str, Any] | None = None


class StepOut(Schema):
    id: int
    external_id: str
    said: str
    is_undone: bool
    at: datetime


class PublishIn(In):
    note: str = Field(min_length=1, max_length=20_000, description="What is new, in a sentence.")


@router.get("/drafts", response=Page[DraftOut], summary="List drafts")
def list_drafts(request: HttpRequest, wanted: Query[DraftsWanted]) -> dict[str, Any]:
    found = _drafts(request)
    if wanted.status:
        found = found.filter(status=wanted.status)
    if wanted.dataset:
        found = found.filter(dataset=wanted.dataset)
    return page(found, cursor=wanted.cursor, limit=wanted.limit)


@router.post("/drafts", response={201: DraftOut}, summary="Start a draft")
def open_draft(request: HttpRequest, body: DraftIn) -> Status[DraftVersion]:
    user = user_in(request)
    if (body.version is None) == (body.name == ""):
        raise UserError("give `version` to change one, or `name` to begin a dataset")
    if body.version is None:
        return Status(201, drafts.begin_dataset(body.name, user, body.description))
    return Status(201, drafts.open_draft(find(request, body.version), user, body.title))


@router.get("/drafts/{int:pk}", response=DraftOut, summary="Get a draft")
def get_draft(request: HttpRequest, pk: int) -> DraftVersion:
    return _draft(request, pk)


@router.delete("/drafts/{int:pk}", response={204: None}, summary="Discard a draft")
def discard_draft(request: HttpRequest, pk: int) -> Status[None]:
    """Engineers any, others their own."""
    draft = _draft(request, pk)
    if not drafts.may_discard(draft, user_in(request)):
        raise HttpError(403, drafts.NOT_YOURS)
    drafts.discard(draft)
    return Status(204, None)


@router.post("/drafts/{int:pk}/publish", response={202: WorkOut}, summary="Publish a draft")
def publish_draft(request: HttpRequest, pk: int, body: PublishIn) -> Status[Work]:
    """As the dataset's next version; `result` of the work says which, once it is done."""
    user = require_engineer(request)
    return Status(202, publishing.publish(_draft(request, pk), body.note, by=user))


@router.get(
    "/drafts/{int:pk}/changes", response=Page[DraftChangeOut], summary="What a draft changes"
)
def list_changes(request: HttpRequest, pk: int, wanted: Query[Paging]) -> dict[str, Any]:
    found = _draft(request, pk).changes.all()
    return shown(page(found, cursor=wanted.cursor, limit=wanted.limit), _change)


@router.post("/drafts/{int:pk}/examples", response={201: DraftChangeOut}, summary="Add an example")
def add_example(request: HttpRequest, pk: int, body: AddIn) -> Status[dict[str, Any]]:
    user = user_in(request)
    task = {**body.task, "id": str(body.task.get("id", "prompt"))} if body.task else None
    change = drafts.add(_draft(request, pk), user, external_id=body.external_id, task=task)
    return Status(201, _change(change))


@router.get(
    "/drafts/{int:pk}/examples/{path:external_id}",
    response=HeldOut,
    summary="An example as a draft has it",
)
def get_draft_example(
    request: HttpRequest, response: HttpResponse, pk: int, external_id: str
) -> dict[str, Any]:
    """Its `ETag` goes into `If-Match` when it is saved."""
    held = _held(_draft(request, pk), external_id)
    response["ETag"] = _etag(pk, external_id, held.revision)
    return {
        "external_id": external_id,
        "revision": held.revision,
        "task": held.task,
        "problems": [list(one) for one in problems_of(held.task)],
    }


@router.put(
    "/drafts/{int:pk}/examples/{path:external_id}",
    response={200: DraftChangeOut, 412: None},
    summary="Save an example of a draft",
)
def save_draft_example(
    request: HttpRequest, response: HttpResponse, pk: int, external_id: str, body: TaskIn
) -> dict[str, Any]:
    """412 when `If-Match` names a state that somebody has written over."""
    user = user_in(request)
    draft = _draft(request, pk)
    held = _held(draft, external_id)
    wanted = request.headers.get("If-Match", "*").strip()
    if wanted not in ("*", _etag(pk, external_id, held.revision)):
        raise HttpError(412, f"{external_id} was changed meanwhile; read it again")
    change = drafts.save(draft, external_id, body.task, by=user, revision=held.revision)
    response["ETag"] = _etag(pk, external_id, change.revision)
    return _change(change)


@router.delete(
    "/drafts/{int:pk}/examples/{path:external_id}", response=StepOut, summary="Leave one out"
)
def remove_draft_example(request: HttpRequest, pk: int, external_id: str) -> DraftStep:
    user = user_in(request)
    draft = _draft(request, pk)
    _held(draft, external_id)
    return drafts.remove(draft, external_id, by=user)


@router.post(
    "/drafts/{int:pk}/revert/{path:external_id}",
    response=StepOut,
    summary="Bring one back to what it is in the base",
)
def revert_draft_example(request: HttpRequest, pk: int, external_id: str) -> DraftStep:
    """409 where it is as in the base, or was added here."""
    draft = _draft(request, pk)
    _held(draft, external_id)
    return drafts.revert(draft, external_id, by=user_in(request))


@router.get("/drafts/{int:pk}/steps", response=Page[StepOut], summary="Who did what to a draft")
def list_steps(request: HttpRequest, pk: int, wanted: Query[Paging]) -> dict[str, Any]:
    found = _draft(request, pk).steps.all()
    return page(found, cursor=wanted.cursor, limit=wanted.limit)


@router.post("/drafts/steps/{int:pk}/undo", response={204: None}, summary="Undo a step")
def undo_step(request: HttpRequest, pk: int) -> Status[None]:
    user = user_in(request)
    drafts.undo(get_object_or_404(DraftStep.objects.select_related("draft"), pk=pk), by=user)
    return Status(204, None)


def _drafts(request: HttpRequest) -> QuerySet[DraftVersion]:
    return DraftVersion.objects.select_related("dataset", "base")


def _draft(request: HttpRequest, pk: int) -> DraftVersion:
    return get_object_or_404(_drafts(request), pk=pk)


def _held(draft: DraftVersion, external_id: str) -> drafts.Held:
    try:
        return drafts.hold(draft, external_id)
    except UserError as error:
        raise HttpError(404, str(error)) from error


def _etag(pk: int, external_id: str, revision: int) -> str:
    said = hashlib.sha256(f"{pk} {external_id} {revision}".encode()).hexdigest()
    return f'"{said[:20]}"'


def _change(change: DraftChange) -> dict[str, Any]:
    return {
        "external_id": change.external_id,
        "kind": change.kind,
        "revision": change.revision,
        "task": change.task,
        "problems": change.problems,
        "at": change.at,
    }
