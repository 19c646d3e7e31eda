"""The list of runs, one run, and what people do to them beside running them."""

from __future__ import annotations

from typing import Any, Literal

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Schema

from apps.automation.paging import Page, Paging, page, slice_page
from apps.automation.rest import Id, In
from apps.runs import services
from apps.runs.api.shapes import RunOut, RunRow, check_match, find, router, tagged, visible
from apps.runs.lists import organising
from apps.runs.lists.filters import RunFilters
from apps.runs.models import Run
from apps.runs.operations import waiting
from kos.errors import UserError

MOST_AT_ONCE = 500


class RunPatch(In):
    """What is left out stays as it is."""

    name: str | None = Field(None, min_length=1, max_length=organising.NAME_CHARS)
    notes: str | None = Field(None, max_length=organising.NOTE_CHARS)
    tags: list[str] | None = Field(
        None, max_length=organising.MAX_TAGS, description="All of them: what is missing goes."
    )
    is_archived: bool | None = None
    priority: int | None = Field(
        None, ge=-waiting.MOST, le=waiting.MOST, description="Of a run that waits."
    )


class BulkIn(In):
    """One action on many runs; those that it does not fit are passed over."""

    action: Literal["tag", "untag", "archive", "unarchive", "stop", "resume"]
    runs: list[Id] = Field(min_length=1, max_length=MOST_AT_ONCE)
    tags: list[str] = Field([], max_length=organising.MAX_TAGS, description="For tag and untag.")


class BulkOut(Schema):
    changed: int = Field(description="How many runs changed.")
    missing: list[int] = Field(description="Ids that there are not, or not for you.")


@router.get("/", response=Page[RunRow], summary="List runs")
def list_(
    request: HttpRequest, filters: Query[RunFilters], paging: Query[Paging]
) -> dict[str, Any]:
    """Newest first, unless `sort` says otherwise. Stages stay with their pipeline, and what is
    archived out of sight, unless asked for."""
    runs = filters.apply(visible(request).defer("config", "result"))
    place: dict[str, Any] = {"cursor": paging.cursor, "limit": paging.limit}
    if filters.sort in ("", "-id", "-created"):
        return page(runs, **place)
    # Other columns may be empty, which a cursor of their values cannot hold.
    return slice_page(runs, **place, key=f"runs:{filters.sort}")


@router.get("/{int:pk}", response=RunOut, summary="Get a run")
def get(request: HttpRequest, response: HttpResponse, pk: int) -> Run:
    return tagged(find(request, pk), response)


@router.patch("/{int:pk}", response={200: RunOut, 412: None}, summary="Change a run")
def update(request: HttpRequest, response: HttpResponse, pk: int, body: RunPatch) -> Run:
    """Name, notes, tags, archive and priority; its config never changes: clone it instead."""
    with transaction.atomic():
        run = find(request, pk)
        check_match(request, run)
        _apply(run, body)
    return tagged(find(request, pk), response)


@router.post("/bulk", response=BulkOut, summary="Do one thing to many runs")
def bulk(request: HttpRequest, body: BulkIn) -> dict[str, Any]:
    if body.action in ("tag", "untag") and not body.tags:
        raise UserError(f"{body.action} needs tags; name at least one")
    runs = list(visible(request).filter(pk__in=body.runs).order_by("pk"))
    missing = sorted(set(body.runs) - {run.pk for run in runs})
    return {"changed": _act(body, runs), "missing": missing}


@router.get("/tags", response=list[str], summary="The tags of recent runs")
def tags(request: HttpRequest) -> list[str]:
    visible(request)
    return organising.known_tags()


@router.post("/{int:pk}/stop", response=RunOut, summary="Stop a run")
def stop(request: HttpRequest, pk: int) -> Run:
    """It is asked to, and keeps what it made. One that ended stays as it is."""
    services.stop(find(request, pk))
    return find(request, pk)


@router.post("/{int:pk}/resume", response=RunOut, summary="Resume a run")
def resume(request: HttpRequest, pk: int) -> Run:
    """Queue a failed or stopped run again; it goes on from its checkpoint."""
    run = find(request, pk)
    if not run.can_resume:
        raise UserError(f"run {pk} is {run.status}; only a failed or stopped run can be resumed")
    services.resume(run)
    return find(request, pk)


def _apply(run: Run, body: RunPatch) -> None:
    if body.name is not None:
        organising.rename(run, body.name)
    if body.notes is not None:
        organising.note(run, body.notes)
    if body.tags is not None:
        wanted = organising.clean_tags(body.tags)
        organising.tag([run], add=wanted, remove=[tag for tag in run.tags if tag not in wanted])
    if body.priority is not None and body.priority != run.priority:
        waiting.prioritise(run, body.priority)
    if body.is_archived is not None and body.is_archived != run.is_archived:
        if body.is_archived and not run.is_ended:
            raise UserError(f"run {run.pk} is {run.status}; stop it before it is archived")
        organising.archive([run], body.is_archived)


def _act(body: BulkIn, runs: list[Run]) -> int:
    match body.action:
        case "tag":
            return organising.tag(runs, add=body.tags)
        case "untag":
            return organising.tag(runs, remove=body.tags)
        case "archive" | "unarchive":
            return organising.archive(runs, body.action == "archive")
        case "stop":
            return organising.stop_all(runs)
    return organising.resume_all(runs)
