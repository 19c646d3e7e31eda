"""What an artifact's files are, and how they leave: one by one, or all in one tar.

A model may be larger than memory, so the bytes go out a piece at a time, in async generators:
Django would gather a plain one whole before it sent the first byte.
"""

from __future__ import annotations

import asyncio
import hashlib
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET

from apps.accounts.guards import PageRequest, engineer
from apps.runs.artifacts import ranges
from apps.runs.models import Artifact

BLOCK = tarfile.BLOCKSIZE


class File(NamedTuple):
    """One file of an artifact; ``name`` is relative to it, with forward slashes."""

    name: str
    size_bytes: int


def files(artifact: Artifact) -> list[File]:
    """All its files by name; none when it is no longer on this disk. Left out are links, and
    names that no address or line can hold: control characters, and what is no UTF-8.
    """
    root = artifact.location
    if root.is_file():
        return [File(root.name, root.stat().st_size)]
    found = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    named = ((path.relative_to(root).as_posix(), path) for path in found)
    return [File(name, path.stat().st_size) for name, path in named if name.isprintable()]


@engineer
@require_GET
def file(request: PageRequest, pk: int, name: str) -> HttpResponseBase:
    """One file or a range of it, by a name that ``files`` gave: nothing else can be had."""
    artifact = get_object_or_404(Artifact, pk=pk)
    chosen = next((one for one in files(artifact) if one.name == name), None)
    if chosen is None:
        raise Http404
    return ranges.send(_path(artifact, chosen), request.headers.get("Range", ""))


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
    answer["Content-Disposition"] = content_disposition_header(True, f"{stem}.tar")
    answer["Content-Length"] = str(archive_bytes(artifact, listed, stem))
    return answer


@engineer
@require_GET
def hashes(request: PageRequest, pk: int) -> HttpResponseBase:
    """The SHA-256 of each file as ``sha256sum`` writes it, a line as soon as it is known."""
    artifact = get_object_or_404(Artifact, pk=pk)
    listed = files(artifact)
    if not listed:
        return HttpResponse(f"{artifact.name} is no longer on this machine.", status=410)
    return StreamingHttpResponse(_hashed(artifact, listed), content_type="text/plain")


def archive_bytes(artifact: Artifact, listed: list[File], stem: str) -> int:
    """Size of the tar, so that a browser can show how far it is."""
    heads = sum(len(_head(artifact, one, stem)) for one in listed)
    return heads + sum(one.size_bytes + -one.size_bytes % BLOCK for one in listed) + 2 * BLOCK


def _path(artifact: Artifact, file: File) -> Path:
    root = artifact.location
    return root if root.is_file() else root / file.name


async def _hashed(artifact: Artifact, listed: list[File]) -> AsyncIterator[str]:
    for one in listed:
        digest = hashlib.sha256()
        async for piece in ranges.read(_path(artifact, one), one.size_bytes):
            await asyncio.to_thread(digest.update, piece)
        yield f"{digest.hexdigest()}  {one.name}\n"


async def _tar(artifact: Artifact, listed: list[File], stem: str) -> AsyncIterator[bytes]:
    for one in listed:
        yield _head(artifact, one, stem)
        async for piece in ranges.read(_path(artifact, one), one.size_bytes):
            yield piece
        yield bytes(-one.size_bytes % BLOCK)
    yield bytes(2 * BLOCK)


def _head(artifact: Artifact, file: File, stem: str) -> bytes:
    """What stands before a file: one block, or three where its name is longer than 100 bytes."""
    entry = tarfile.TarInfo(f"{stem}/{file.name}")
    entry.size, entry.mtime = file.size_bytes, int(artifact.created.timestamp())
    return entry.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape")
