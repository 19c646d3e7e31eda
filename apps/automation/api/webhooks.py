"""Webhooks over REST: addresses that are told of events, and the log of what was told."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status

from apps.accounts.auth import require_engineer
from apps.accounts.models import Scope
from apps.automation import webhooks
from apps.automation.hooks import KINDS
from apps.automation.models import Delivery, Webhook
from apps.automation.paging import Page, Paging, page
from apps.automation.rest import In, Room

router = Room("webhooks", reading=Scope.ACCOUNT, writing=Scope.ACCOUNT)

Kind = Literal[
    "run.queued",
    "run.started",
    "run.done",
    "run.failed",
    "run.cancelled",
    "run.lost",
    "deployment.ready",
    "deployment.stopped",
    "review.submitted",
    "dataset.published",
]


class WebhookOut(Schema):
    id: int
    url: str
    kinds: list[str] = Field(description="Empty: all of them.")
    is_active: bool
    is_for_all: bool
    has_two_secrets: bool = Field(description="For a day after a rotation the old one signs too.")
    created: datetime
    rotated: datetime | None


class SecretOut(Schema):
    """The secret is shown here and never again."""

    webhook: WebhookOut
    secret: str


class WebhookIn(In):
    url: str = Field(max_length=500, examples=["https://ci.example.org/kos"])
    kinds: list[Kind] = Field([], max_length=len(KINDS), description="Empty: all of them.")
    is_for_all: bool = Field(False, description="Hear of everybody's work (engineers).")


class WebhookPatch(In):
    """What is left out stays as it is."""

    url: str | None = Field(None, max_length=500)
    kinds: list[Kind] | None = Field(None, max_length=len(KINDS))
    is_for_all: bool | None = None
    is_active: bool | None = Field(None, description="false pauses; what waits waits on.")


class DeliveryOut(Schema):
    id: int
    webhook: int = Field(alias="webhook_id")
    kind: str
    body: dict[str, Any]
    status: str
    tries: int
    due: datetime = Field(description="When the next try is, while it waits.")
    reply_status: int | None
    reply: str = Field(description="The first words of the reply, or why there was none.")
    created: datetime
    ended: datetime | None


class DeliveryWanted(Paging):
    status: Literal["waiting", "delivered", "failed"] | None = None


@router.get("", response=Page[WebhookOut], summary="My webhooks, newest first")
def list_(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    return page(_mine(request), cursor=wanted.cursor, limit=wanted.limit)


@router.post("", response={201: SecretOut}, summary="Tell an address of events")
def create(request: HttpRequest, body: WebhookIn) -> Status[Any]:
    """Only https, and only addresses in the public internet, unless the settings name them."""
    made = webhooks.create(
        require_engineer(request), body.url, kinds=body.kinds, is_for_all=body.is_for_all
    )
    return Status(201, made._asdict())


@router.get("kinds", response=dict[str, str], summary="The kinds of events, in words")
def kinds(request: HttpRequest) -> dict[str, str]:
    return dict(KINDS)


@router.get("{int:pk}", response=WebhookOut, summary="One webhook")
def get(request: HttpRequest, pk: int) -> Webhook:
    return _one(request, pk)


@router.patch("{int:pk}", response=WebhookOut, summary="Change or pause a webhook")
def update(request: HttpRequest, pk: int, body: WebhookPatch) -> Webhook:
    return webhooks.change(_one(request, pk), **body.dict())


@router.delete("{int:pk}", response={204: None}, summary="Delete a webhook and its log")
def delete(request: HttpRequest, pk: int) -> Status[None]:
    webhooks.delete(_one(request, pk))
    return Status(204, None)


@router.post("{int:pk}/rotate", response=SecretOut, summary="Make a new secret")
def rotate(request: HttpRequest, pk: int) -> dict[str, Any]:
    """For a day both sign, so that the receiver can be changed without a gap."""
    return webhooks.rotate(_one(request, pk))._asdict()


@router.post("{int:pk}/test", response={202: DeliveryOut}, summary="Send a test event")
def test(request: HttpRequest, pk: int) -> Status[Delivery]:
    return Status(202, webhooks.ping(_one(request, pk)))


@router.get(
    "{int:pk}/deliveries", response=Page[DeliveryOut], summary="What was told, newest first"
)
def list_deliveries(
    request: HttpRequest, pk: int, wanted: Query[DeliveryWanted]
) -> dict[str, Any]:
    found = _one(request, pk).deliveries.all()
    if wanted.status:
        found = found.filter(status=wanted.status)
    return page(found, cursor=wanted.cursor, limit=wanted.limit)


@router.get("deliveries/{int:pk}", response=DeliveryOut, summary="One delivery")
def get_delivery(request: HttpRequest, pk: int) -> Delivery:
    return _delivery(request, pk)


@router.post("deliveries/{int:pk}/replay", response={202: DeliveryOut}, summary="Tell it again")
def replay(request: HttpRequest, pk: int) -> Status[Delivery]:
    """A new delivery of the same event, under the event's own id."""
    return Status(202, webhooks.replay(_delivery(request, pk)))


def _mine(request: HttpRequest) -> QuerySet[Webhook]:
    return Webhook.objects.filter(owner=require_engineer(request)).select_related("owner")


def _one(request: HttpRequest, pk: int) -> Webhook:
    return get_object_or_404(_mine(request), pk=pk)


def _delivery(request: HttpRequest, pk: int) -> Delivery:
    mine = Delivery.objects.filter(webhook__owner=require_engineer(request)).select_related(
        "webhook"
    )
    return get_object_or_404(mine, pk=pk)
