"""What runs kept, over REST: models, reports and other artifacts, their lineage and files."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema

from apps.accounts.auth import require_engineer
from apps.accounts.models import Scope
from apps.automation.paging import Page, Paging, page, slice_page
from apps.automation.rest import Id, In, Room
from apps.runs.artifacts import disposal, downloads, graph, ranges
from apps.runs.artifacts.graph import Key
from apps.runs.models import MODEL_KINDS, Artifact
from kos.errors import UserError

router = Room("models", reading=Scope.RUNS_READ, writing=Scope.RUNS_WRITE)
BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
TAR = {"application/x-tar": {"schema": {"type": "string", "format": "binary"}}}


class ArtifactOut(Schema):
    """A file or folder that a run kept, with its hash."""

    id: int
    run: int = Field(alias="run_id")
    kind: str
    name: str
    format: str = Field(description="How its weights are stored.")
    base: int | None = Field(None, alias="base_id", description="The base that it stems from.")
    digest: str = Field(description="SHA-256.")
    size_bytes: int
    summary: dict[str, Any]
    is_pinned: bool
    freed: datetime | None = Field(description="When its files were deleted, if they were.")
    created: datetime


class ModelWanted(Paging):
    q: str = Field("", max_length=100, description="In the name.")
    kind: Literal[
        "",
        "models",
        "base",
        "trajectories",
        "difficulty",
        "answers",
        "pairs",
        "adapter",
        "merged",
        "calibration",
        "quantised",
        "report",
    ] = Field("", description="`models`: all that hold weights.")
    format: str = Field("", max_length=40)
    base: Id | None = None
    run: Id | None = None
    digest: str = Field("", max_length=64, pattern="^[0-9a-f]*$", description="How it begins.")
    is_pinned: bool | None = None
    has_files: bool | None = None


class FileOut(Schema):
    name: str
    size_bytes: int


class PinIn(In):
    is_pinned: bool = True


class NeedOut(Schema):
    text: str
    refuses: bool = Field(description="Whether it keeps the files from being deleted now.")


class NodeOut(Schema):
    key: str = Field(description="Kind and id: `artifact-7`.")
    kind: str
    id: int
    label: str
    name: str
    status: str
    url: str = Field(description="Its page in the console.")


class EdgeOut(Schema):
    """`end` was made with `start`, as the input called `name`."""

    start: str
    end: str
    name: str


class LineageOut(Schema):
    """Both ways from one artifact: what it was made with, and what came of it."""

    root: str
    nodes: list[NodeOut]
    edges: list[EdgeOut]
    is_cut: bool = Field(description="There is more than was asked for.")


class LineageWanted(Schema):
    hops: int = Field(4, ge=1, le=12)
    most: int = Field(400, ge=1, le=2000, description="Nodes at most.")


@router.get("/", response=Page[ArtifactOut], summary="List models and other artifacts")
def list_(request: HttpRequest, wanted: Query[ModelWanted]) -> dict[str, Any]:
    return page(_narrow(_all(request), wanted), cursor=wanted.cursor, limit=wanted.limit)


@router.get("/{int:pk}", response=ArtifactOut, summary="Get a model")
def get(request: HttpRequest, pk: int) -> Artifact:
    return _one(request, pk)


@router.post("/{int:pk}/pin", response=ArtifactOut, summary="Keep a model's files, or let go")
def pin(request: HttpRequest, pk: int, body: PinIn) -> Artifact:
    disposal.pin(_one(request, pk), is_pinned=body.is_pinned)
    return _one(request, pk)


@router.get("/{int:pk}/needs", response=list[NeedOut], summary="Who depends on a model's files")
def needs(request: HttpRequest, pk: int) -> list[disposal.Need]:
    return disposal.needs(_one(request, pk))


@router.delete("/{int:pk}/files", response=ArtifactOut, summary="Delete a model's files")
def free(request: HttpRequest, pk: int) -> Artifact:
    """The row stays, for the lineage. 409 when it is pinned or something needs it."""
    disposal.free(_one(request, pk), require_engineer(request))
    return _one(request, pk)


@router.get("/{int:pk}/lineage", response=LineageOut, summary="What made it, and what it made")
def lineage(request: HttpRequest, pk: int, wanted: Query[LineageWanted]) -> dict[str, Any]:
    root = Key("artifact", _one(request, pk).pk)
    part = graph.part([root], hops=wanted.hops, fan=wanted.most, most=wanted.most)
    return {
        "root": str(root),
        "nodes": [_node(node) for node in part.nodes.values()],
        "edges": [
            {"start": str(edge.start), "end": str(edge.end), "name": edge.name}
            for edge in part.edges
        ],
        "is_cut": part.is_cut or bool(part.hidden),
    }


@router.get("/{int:pk}/files", response=Page[FileOut], summary="The files of a model")
def list_files(request: HttpRequest, pk: int, wanted: Query[Paging]) -> dict[str, Any]:
    found = downloads.files(_one(request, pk))
    return slice_page(found, cursor=wanted.cursor, limit=wanted.limit, key="files")


@router.get(
    "/{int:pk}/files/{path:name}",
    response={200: None, 206: None, 416: None},
    summary="Download one file",
    openapi_extra={"responses": {200: {"content": BYTES}, 206: {"content": BYTES}}},
)
def get_file(request: HttpRequest, pk: int, name: str) -> HttpResponseBase:
    """`Range: bytes=1000-` goes on where a download broke off."""
    artifact = _one(request, pk)
    if name not in {one.name for one in downloads.files(artifact)}:
        raise Http404
    root = artifact.location
    return ranges.send(root if root.is_file() else root / name, request.headers.get("Range", ""))


@router.get(
    "/{int:pk}/download",
    response={200: None},
    summary="Download a whole model as a tar",
    openapi_extra={"responses": {200: {"content": TAR}}},
)
def download(request: HttpRequest, pk: int) -> HttpResponseBase:
    artifact = _one(request, pk)
    if not downloads.files(artifact):
        raise UserError(f"the files of {artifact.name} are no longer on this machine")
    return downloads.archive(request, pk)


def _all(request: HttpRequest) -> QuerySet[Artifact]:
    require_engineer(request)
    return Artifact.objects.all()


def _one(request: HttpRequest, pk: int) -> Artifact:
    return get_object_or_404(_all(request), pk=pk)


def _narrow(artifacts: QuerySet[Artifact], wanted: ModelWanted) -> QuerySet[Artifact]:
    if wanted.q:
        artifacts = artifacts.filter(name__icontains=wanted.q)
    if wanted.kind:
        kinds = MODEL_KINDS if wanted.kind == "models" else [wanted.kind]
        artifacts = artifacts.filter(kind__in=kinds)
    for name in ("format", "base", "run"):
        if value := getattr(wanted, name):
            artifacts = artifacts.filter(**{name: value})
    if wanted.digest:
        artifacts = artifacts.filter(digest__startswith=wanted.digest)
    if wanted.is_pinned is not None:
        artifacts = artifacts.filter(is_pinned=wanted.is_pinned)
    if wanted.has_files is not None:
        artifacts = artifacts.filter(freed__isnull=wanted.has_files)
    return artifacts


def _node(node: graph.Node) -> dict[str, Any]:
    return {
        "key": str(node.key),
        "kind": node.key.kind,
        "id": node.key.pk,
        "label": node.label,
        "name": node.name,
        "status": node.status,
        "url": node.url,
    }
