"""What waits for a worker, and the workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Schema

from apps.accounts.auth import require_engineer
from apps.automation.paging import Page, Paging, shown, slice_page
from apps.automation.rest import In
from apps.runs.api.shapes import RunRow, find, router
from apps.runs.models import Run
from apps.runs.operations import waiting, workers


class WaitingWanted(Paging):
    queue: Literal["", "cpu", "gpu", "serve"] = Field("", description="Empty: all of them.")


class MoveIn(In):
    where: Literal["up", "down", "first"]


class WorkerOut(Schema):
    name: str
    host: str
    pid: int
    queues: list[str]
    device: str
    slots: int
    runs: list[int] = Field(description="What it works on.")
    silent_seconds: float | None = Field(description="null: it was heard of just now.")
    started: datetime


@router.get("/queue", response=Page[RunRow], summary="What waits, the next to start first")
def queue(request: HttpRequest, wanted: Query[WaitingWanted]) -> dict[str, Any]:
    require_engineer(request)
    found = waiting.waiting(wanted.queue)
    return slice_page(found, cursor=wanted.cursor, limit=wanted.limit, key="queue")


@router.post("/{int:pk}/move", response=RunRow, summary="Move a run in its queue")
def move(request: HttpRequest, pk: int, body: MoveIn) -> Run:
    waiting.move(find(request, pk), body.where)
    return find(request, pk)


@router.get("/workers", response=Page[WorkerOut], summary="The workers, by machine")
def list_workers(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    require_engineer(request)
    found = slice_page(workers.all_held(), cursor=wanted.cursor, limit=wanted.limit, key="workers")
    return shown(found, _worker)


def _worker(held: workers.Held) -> dict[str, Any]:
    known = {name: getattr(held.worker, name) for name in ("name", "host", "pid", "queues")}
    return known | {
        "device": held.worker.device,
        "slots": held.worker.slots,
        "started": held.worker.started,
        "runs": [run.pk for run in held.runs],
        "silent_seconds": held.silent.total_seconds() if held.silent else None,
    }
