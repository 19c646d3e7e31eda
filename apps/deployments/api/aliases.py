"""Aliases: names that lead to a deployment, and can be led elsewhere."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema

from apps.accounts.auth import require_engineer
from apps.automation.paging import Page, Paging, page
from apps.automation.rest import Id, In
from apps.deployments import aliases
from apps.deployments.api.room import find, router
from apps.deployments.api.serving import DeploymentChangeOut
from apps.deployments.models import Alias


class AliasOut(Schema):
    name: str
    deployment_id: int
    canary_id: int | None
    canary_percent: int


class PromoteIn(In):
    deployment: Id
    reason: str = Field(min_length=1, max_length=400)


class ReasonIn(In):
    reason: str = Field("", max_length=400)


class ShareIn(In):
    canary: Id | None = Field(description="null ends the trial.")
    percent: int = Field(0, ge=0, le=100)
    reason: str = Field("", max_length=400)


@router.get("aliases", response=Page[AliasOut], summary="Every alias and where it leads")
def list_aliases(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    require_engineer(request)
    return page(Alias.objects.all(), cursor=wanted.cursor, limit=wanted.limit, key="name")


@router.get("aliases/{name}", response=AliasOut, summary="One alias")
def get_alias(request: HttpRequest, name: str) -> Alias:
    return _alias(request, name)


@router.get(
    "aliases/{name}/changes", response=Page[DeploymentChangeOut], summary="What was done to it"
)
def list_alias_changes(request: HttpRequest, name: str, wanted: Query[Paging]) -> dict[str, Any]:
    found = _alias(request, name).changes.select_related("by", "alias")
    return page(found, cursor=wanted.cursor, limit=wanted.limit)


@router.post("aliases/{name}/promote", response=AliasOut, summary="Let an alias lead elsewhere")
def promote(request: HttpRequest, name: str, body: PromoteIn) -> Alias:
    """A name that is new is made."""
    user = require_engineer(request)
    return aliases.promote(name, find(request, body.deployment), by=user, reason=body.reason)


@router.post("aliases/{name}/roll-back", response=AliasOut, summary="Undo the last promotion")
def roll_back(request: HttpRequest, name: str, body: ReasonIn) -> Alias:
    user = require_engineer(request)
    aliases.roll_back(_alias(request, name), by=user, reason=body.reason)
    return _alias(request, name)


@router.post("aliases/{name}/share", response=AliasOut, summary="Set a canary's share")
def share(request: HttpRequest, name: str, body: ShareIn) -> Alias:
    user = require_engineer(request)
    canary = find(request, body.canary) if body.canary is not None else None
    alias = _alias(request, name)
    aliases.share(alias, canary, percent=body.percent, by=user, reason=body.reason)
    return alias


def _alias(request: HttpRequest, name: str) -> Alias:
    require_engineer(request)
    return get_object_or_404(Alias.objects.select_related("deployment", "canary"), name=name)
