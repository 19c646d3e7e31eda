"""Outside MCP servers, for admins: added, looked at, their tools approved and withdrawn."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status

from apps.accounts.auth import BearerAuth, require_admin
from apps.accounts.models import Scope
from apps.automation.paging import Page, Paging, shown, slice_page
from apps.automation.rest import In
from apps.tools import mcp
from apps.tools.api.room import router
from apps.tools.models import McpServer

ADMIN = BearerAuth(Scope.ADMIN)


class OfferOut(Schema):
    """A tool that a server offers. `mark` is what approving it sends: it pins what was seen."""

    name: str
    full_name: str = Field(description="What models call it.")
    description: str
    declaration: dict[str, Any]
    problems: list[str] = Field(description="What keeps it from being approved.")
    mark: str
    is_approved: bool
    is_changed: bool = Field(description="It describes itself anew and is off until approved.")


class ServerOut(Schema):
    id: int
    slug: str
    transport: str
    url: str
    command: str
    key: str = Field(description="The name of a kept key, never its text.")
    is_enabled: bool
    approved_by: str | None
    approved_at: datetime | None
    offers: list[OfferOut]


class ServerIn(In):
    """An address, or a command that the settings name."""

    slug: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")
    url: str = Field("", max_length=500, examples=["https://records.example.org/mcp"])
    command: str = Field("", max_length=80)
    key: str = Field("", max_length=80, pattern=r"^([a-z][a-z0-9_.-]{0,79})?$")


class ApprovalIn(In):
    marks: list[str] = Field(max_length=500, description="Of the tools that models may call.")


@router.get("mcp", response=Page[ServerOut], summary="Outside MCP servers", auth=ADMIN)
def list_servers(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    require_admin(request)
    found = slice_page(mcp.listed(), cursor=wanted.cursor, limit=wanted.limit, key="mcp")
    return shown(found, _out)


@router.post("mcp", response={201: ServerOut}, summary="Add an MCP server", auth=ADMIN)
def add_server(request: HttpRequest, body: ServerIn) -> Status[dict[str, Any]]:
    """Nothing of it is offered to a model before it was looked at and approved."""
    require_admin(request)
    row = mcp.add(body.slug, url=body.url, command=body.command, key=body.key)
    return Status(201, _one(row.pk))


@router.get("mcp/{int:pk}", response=ServerOut, summary="One MCP server", auth=ADMIN)
def get_server(request: HttpRequest, pk: int) -> dict[str, Any]:
    require_admin(request)
    return _one(pk)


@router.post("mcp/{int:pk}/look", response=ServerOut, summary="Ask what it offers", auth=ADMIN)
def look_at_server(request: HttpRequest, pk: int) -> dict[str, Any]:
    """409, and why, where it does not answer."""
    require_admin(request)
    mcp.look(get_object_or_404(McpServer, pk=pk))
    return _one(pk)


@router.put("mcp/{int:pk}/approved", response=ServerOut, summary="Approve its tools", auth=ADMIN)
def approve_tools(request: HttpRequest, pk: int, body: ApprovalIn) -> dict[str, Any]:
    """Models may call these and no others; 409 for one that changed since it was seen."""
    by = require_admin(request)
    mcp.approve(get_object_or_404(McpServer, pk=pk), body.marks, by=by)
    return _one(pk)


@router.delete("mcp/{int:pk}/approved", response=ServerOut, summary="Withdraw it", auth=ADMIN)
def withdraw_server(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Models may call nothing of it any more."""
    require_admin(request)
    mcp.withdraw(get_object_or_404(McpServer, pk=pk))
    return _one(pk)


@router.delete("mcp/{int:pk}", response={204: None}, summary="Remove a server", auth=ADMIN)
def remove_server(request: HttpRequest, pk: int) -> Status[None]:
    require_admin(request)
    mcp.remove(get_object_or_404(McpServer, pk=pk))
    return Status(204, None)


def _one(pk: int) -> dict[str, Any]:
    row = get_object_or_404(McpServer.objects.select_related("approved_by"), pk=pk)
    return _out(mcp.listing_of(row))


def _out(listed: mcp.Listed) -> dict[str, Any]:
    row = listed.row
    names = ("id", "slug", "transport", "url", "command", "key", "is_enabled", "approved_at")
    return {
        **{name: getattr(row, name) for name in names},
        "approved_by": row.approved_by.username if row.approved_by else None,
        "offers": [offer._asdict() for offer in listed.offers],
    }
