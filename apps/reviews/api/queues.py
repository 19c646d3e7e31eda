"""Queues: made, filled, staffed, changed, closed, exported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status

from apps.accounts.auth import require_admin, require_reader
from apps.accounts.models import Role, User
from apps.accounts.streaming import Streamed
from apps.automation.paging import Page, Paging, page
from apps.automation.rest import In
from apps.reviews import exports, pages, rules, services
from apps.reviews.api.room import find, router
from apps.reviews.models import Queue
from apps.reviews.rules import Rule
from kos.errors import UserError

FILES = {
    "application/jsonl": {"schema": {"type": "string"}},
    "text/csv": {"schema": {"type": "string"}},
}


class QueueOut(Schema):
    id: int
    name: str
    instructions: str
    status: str
    overlap: int = Field(description="How many people judge an answer.")
    is_blind: bool = Field(description="The grader's verdict is hidden until the review is in.")
    is_accepting: bool = Field(description="Agreed corrections count at once.")
    num_items: int
    num_done: int
    num_waiting: int = Field(description="Items in dispute, or with corrections to accept.")


class QueueWanted(Paging):
    status: Literal["", "open", "closed"] = ""
    q: str = Field("", max_length=100, description="In the name.")


class QueueIn(In):
    """What the queue takes (`rule`), who works on it, and how."""

    name: str = Field(min_length=1, max_length=120)
    instructions: str = Field("", max_length=20_000)
    size: int = Field(50, ge=1, le=5000, description="Answers at most.")
    overlap: int = Field(1, ge=1, le=5)
    repeat_percent: int = Field(0, ge=0, le=50)
    is_blind: bool = True
    is_accepting: bool = False
    seed: int = Field(0, ge=0, le=2**31 - 1)
    rule: Rule
    people: list[str] = Field([], max_length=200, description="Usernames; none: every reviewer.")


class QueuePatch(In):
    """What is left out stays as it is."""

    name: str | None = Field(None, min_length=1, max_length=120)
    instructions: str | None = Field(None, max_length=20_000)
    status: Literal["open", "closed"] | None = None
    size: int | None = Field(None, ge=1, le=5000)
    overlap: int | None = Field(None, ge=1, le=5)
    repeat_percent: int | None = Field(None, ge=0, le=50)
    is_blind: bool | None = None
    is_accepting: bool | None = None
    seed: int | None = Field(None, ge=0, le=2**31 - 1)
    rule: Rule | None = Field(None, description="The whole of it, for what is added from now on.")
    people: list[str] | None = Field(None, max_length=200)


class RuleIn(In):
    rule: Rule
    size: int = Field(50, ge=1, le=5000)
    seed: int = Field(0, ge=0, le=2**31 - 1)


class RuleFound(Schema):
    """What a rule would take by now."""

    num_scope: int = Field(description="Answers that it looks at.")
    num_matched: int
    num_taken: int = Field(description="At most the size.")
    reasons: dict[str, int]


class FilledOut(Schema):
    added: int


class PersonOut(Schema):
    reviewer: str
    num_done: int
    num_skipped: int


@router.get("/", response=Page[QueueOut], summary="List queues")
def list_(request: HttpRequest, wanted: Query[QueueWanted]) -> dict[str, Any]:
    found = pages.queues_for(require_reader(request))
    if wanted.status:
        found = found.filter(status=wanted.status)
    if wanted.q:
        found = found.filter(name__icontains=wanted.q)
    return page(found, cursor=wanted.cursor, limit=wanted.limit)


@router.post("/", response={201: QueueOut}, summary="Make a queue and fill it")
def create(request: HttpRequest, body: QueueIn) -> Status[Any]:
    user = require_admin(request)
    fields = body.dict(exclude={"rule", "people"}) | {"rule": _rule(body.rule)}
    people = _people(body.people)
    with _named_apart(body.name), transaction.atomic():
        queue = Queue.objects.create(created_by=user, **fields)
        services.assign(queue, people)
        services.fill(queue)
    return Status(201, _counted(user, queue.pk))


@router.post("/preview", response=RuleFound, summary="What a rule would take")
def preview(request: HttpRequest, body: RuleIn) -> rules.Preview:
    """Reason by reason; nothing is made."""
    require_admin(request)
    return rules.preview(body.rule, size=body.size, seed=body.seed)


@router.get("/{int:pk}", response=QueueOut, summary="One queue")
def get(request: HttpRequest, pk: int) -> Any:
    return _counted(require_reader(request), pk)


@router.patch("/{int:pk}", response=QueueOut, summary="Change, close or open a queue")
def update(request: HttpRequest, pk: int, body: QueuePatch) -> Any:
    user = require_admin(request)
    queue = find(request, pk)
    changed = body.dict(exclude_none=True, exclude={"rule", "people"})
    if body.rule is not None:
        changed["rule"] = _rule(body.rule)
    people = None if body.people is None else _people(body.people)
    for name, value in changed.items():
        setattr(queue, name, value)
    with _named_apart(queue.name), transaction.atomic():
        queue.save(update_fields=list(changed))
        if people is not None:
            services.assign(queue, people)
    return _counted(user, pk)


@router.post("/{int:pk}/fill", response=FilledOut, summary="Add what the rule finds by now")
def fill(request: HttpRequest, pk: int) -> dict[str, int]:
    require_admin(request)
    return {"added": services.fill(find(request, pk))}


@router.get("/{int:pk}/people", response=list[PersonOut], summary="What each person did")
def people(request: HttpRequest, pk: int) -> list[dict[str, Any]]:
    rows = services.progress(find(request, pk))
    return [{**row, "reviewer": row["reviewer__username"]} for row in rows]


@router.get(
    "/{int:pk}/export/{kind}",
    response={200: None},
    summary="Reviews as a file",
    openapi_extra={"responses": {200: {"content": FILES}}},
)
def export(
    request: HttpRequest, pk: int, kind: Literal["training", "labels", "verdicts"]
) -> Streamed:
    """`training` and `labels` are JSON lines, `verdicts` a spreadsheet."""
    file = exports.FILES[kind]
    return Streamed(file.write(find(request, pk)), content_type=file.content_type)


@contextmanager
def _named_apart(name: str) -> Iterator[None]:
    """Turns the database's refusal of a second queue with this name into a sentence."""
    try:
        yield
    except IntegrityError:
        raise UserError(f"there is a queue called {name!r} already") from None


def _rule(rule: Rule) -> dict[str, Any]:
    if not rule.has_reason:
        raise UserError("this rule takes nothing: give a reason or a random share")
    return rule.model_dump(mode="json", exclude_defaults=True)


def _counted(user: User, pk: int) -> Any:
    return get_object_or_404(pages.queues_for(user), pk=pk)


def _people(names: list[str]) -> list[User]:
    found = User.objects.filter(username__in=names, role__in=(Role.REVIEWER, Role.ADMIN))
    missing = sorted(set(names) - {user.username for user in found})
    if missing:
        raise UserError(f"there is no reviewer called {', '.join(missing)}")
    return list(found)
