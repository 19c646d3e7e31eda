"""What an artifact's files are, and how they leave: one by one, or all in one tar.

A model may be larger than memory, so the bytes go out a piece at a time, in async generators:
Django would gather a plain one whole before it sent the first byte.
"""

from __future__ import annotations

import asyncio
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, engineer
from apps.runs.models import Artifact

PIECE = 1 << 20
BLOCK = tarfile.BLOCKSIZE


class File(NamedTuple):
    """One file of an artifact; ``name`` is relative to it, with forward slashes."""

    name: str
    size_bytes: int


def files(artifact: Artifact) -> list[File]:
    """All its files by name; none when it is no longer on this disk. Links are left out."""
    root = artifact.location
    if root.is_file():
        return [File(root.name, root.stat().st_size)]
    found = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return [File(path.relative_to(root).as_posix(), path.stat().st_size) for path in found]


@engineer
@require_GET
def file(request: PageRequest, pk: int, name: str) -> HttpResponseBase:
    """One file, by a name that ``files`` gave: nothing else can be had."""
    artifact = get_object_or_404(Artifact, pk=pk)
    chosen = next((one for one in files(artifact) if one.name == name), None)
    if chosen is None:
        raise Http404
    answer = StreamingHttpResponse(
        _read(_path(artifact, chosen)), content_type="application/octet-stream"
    )
    return _attached(answer, Path(name).name, chosen.size_bytes)


@engineer
@require_GET
def archive(request: PageRequest, pk: int) -> HttpResponseBase:
    """The whole artifact as a tar; weights do not compress, so it is not compressed."""
    artifact = get_object_or_404(Artifact, pk=pk)
    listed = files(artifact)
    if not listed:
        return HttpResponse(f"{artifact.name} is no longer on this machine.", status=410)
    stem = f"kos-{artifact.pk}-{artifact.kind}"
    answer = StreamingHttpResponse(_tar(artifact, listed, stem), content_type="application/x-tar")
    return _attached(answer, f"{stem}.tar", archive_bytes(listed))


def archive_bytes(listed: list[File]) -> int:
    """Size of the tar, so that a browser can show how far it is."""
    return sum(BLOCK + one.size_bytes + -one.size_bytes % BLOCK for one in listed) + 2 * BLOCK


def _path(artifact: Artifact, file: File) -> Path:
    root = artifact.location
    return root if root.is_file() else root / file.name


def _attached(answer: HttpResponseBase, name: str, size_bytes: int) -> HttpResponseBase:
    answer["Content-Disposition"] = content_disposition_header(True, name)
    answer["Content-Length"] = str(size_bytes)
    return answer


async def _read(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as opened:
        async for piece in _pieces(opened):
            yield piece


async def _pieces(opened: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(opened.read, PIECE):
        yield piece


async def _tar(artifact: Artifact, listed: list[File], stem: str) -> AsyncIterator[bytes]:
    for one in listed:
        entry = tarfile.TarInfo(f"{stem}/{one.name}")
        entry.size, entry.mtime = one.size_bytes, int(artifact.created.timestamp())
        # One block: GNU's long names would need more, and the size told above would be wrong.
        yield entry.tobuf(tarfile.USTAR_FORMAT)
        async for piece in _read(_path(artifact, one)):
            yield piece
        yield bytes(-one.size_bytes % BLOCK)
    yield bytes(2 * BLOCK)
