"""What the tools are, and one call."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Schema
from ninja.errors import HttpError

from apps.accounts.auth import require_reader
from apps.automation.paging import Page, Paging, shown, slice_page
from apps.automation.rest import In
from apps.tools import services, sources, trials
from apps.tools.api.room import router


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


class ShelfOut(Schema):
    """Records on this machine, from one place."""

    name: str
    mode: str
    title: str
    version: str
    licence: str
    kinds: dict[str, int] = Field(description="How many records of each kind.")


class CallIn(In):
    arguments: dict[str, Any] = Field(examples=[{"query": "gout", "version": "icd10"}])


class RecordOut(Schema):
    title: str
    url: str
    text: str
    sections: dict[str, str]
    provenance: dict[str, str]


class CallOut(Schema):
    """`observation` is what the model would read; `records` are whole."""

    observation: str
    is_error: bool
    notice: str
    mode: str
    seconds: float
    records: list[RecordOut]


@router.get("", response=Page[ToolOut], summary="List the tools and how their sources stand")
def list_(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    tools = sources.tools_on(services.open_desk(require_reader(request)))
    found = slice_page(tools, cursor=wanted.cursor, limit=wanted.limit, key="tools")
    return shown(found, _tool_out)


@router.get("corpora", response=list[ShelfOut], summary="The records on this machine")
def list_corpora(request: HttpRequest) -> list[dict[str, Any]]:
    """What the embedded sources answer from."""
    require_reader(request)
    return [_shelf(one) for one in sources.collections_of(services.open_corpus())]


@router.post("{slug:name}/call", response=CallOut, summary="Call a tool once")
def call(request: HttpRequest, name: str, body: CallIn) -> CallOut:
    """As a model would; what it cannot find is told in the reply, not as an error."""
    user = require_reader(request)
    if sources.find(name, services.open_desk(user)) is None:
        raise HttpError(404, f"there is no tool {name!r}")
    trial = trials.call(name, body.arguments, user)
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


def _shelf(view: sources.CollectionView) -> dict[str, Any]:
    names = ("name", "mode", "title", "version", "licence")
    told = {name: getattr(view.collection, name) for name in names}
    return told | {"kinds": dict(view.kinds)}
