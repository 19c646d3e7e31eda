"""The tools over REST: what there is, and one call."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from ninja.errors import HttpError

from apps.accounts.auth import require_reader
from apps.tools import services, sources, trials
from kos.errors import UserError

router = Router(tags=["tools"])


class SourceOut(Schema):
    name: str
    title: str
    mode: str
    place: int
    state: str
    reason: str


class ToolOut(Schema):
    name: str
    description: str
    declaration: dict[str, Any]
    sources: list[SourceOut]


class CallIn(Schema):
    arguments: dict[str, Any]


class RecordOut(Schema):
    title: str
    url: str
    text: str
    sections: dict[str, str]
    provenance: dict[str, str]


class CallOut(Schema):
    """``observation`` is what the model would read; ``records`` are whole."""

    observation: str
    is_error: bool
    notice: str
    mode: str
    seconds: float
    records: list[RecordOut]


@router.get("", response=list[ToolOut], summary="List the tools and how their sources stand")
def list_tools(request: HttpRequest) -> list[ToolOut]:
    user = require_reader(request)
    return [_tool_out(tool) for tool in sources.tools_on(services.open_desk(user))]


@router.post("{slug:name}/call", response=CallOut, summary="Call a tool once")
def call_tool(request: HttpRequest, name: str, body: CallIn) -> CallOut:
    user = require_reader(request)
    try:
        trial = trials.call(name, body.arguments, user)
    except UserError as error:
        raise HttpError(404, str(error)) from error
    records = [
        RecordOut(
            title=record.title,
            url=record.url,
            text=record.text,
            sections=dict(record.sections),
            provenance=asdict(record.provenance),
        )
        for record in trial.records
    ]
    return CallOut(**trial._asdict() | {"records": records})


def _tool_out(tool: sources.ToolView) -> ToolOut:
    return ToolOut(
        name=tool.name,
        description=tool.description,
        declaration=dict(tool.declaration),
        sources=[SourceOut(**source._asdict()) for source in tool.sources],
    )
