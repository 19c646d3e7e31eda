"""A file of this machine as a reply that can be taken up again: ``Range: bytes=1000-``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

PIECE = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def send(path: Path, wanted: str = "") -> HttpResponseBase:
    """The file, or the one range of it that a ``Range`` header asks for; 416 beyond its end.

    What is no range of bytes, or several, is passed over, as RFC 9110 allows.
    """
    size = path.stat().st_size
    start, end = _place(wanted, size)
    if start > 0 and start >= size:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    answer = StreamingHttpResponse(
        read(path, end - start, start=start), content_type="application/octet-stream"
    )
    if (start, end) != (0, size):
        answer.status_code = 206
        answer["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    answer["Accept-Ranges"] = "bytes"
    answer["Content-Length"] = str(end - start)
    answer["Content-Disposition"] = content_disposition_header(True, path.name)
    return answer


def _place(wanted: str, size: int) -> tuple[int, int]:
    """From where to where; the end is the first byte that is left out."""
    found = _RANGE.fullmatch(wanted.replace(" ", ""))
    if found is None or found.groups() == ("", ""):
        return 0, size
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    end = min(size, int(last) + 1) if last else size
    if int(first) >= end and int(first) < size:
        return 0, size  # backwards: no range at all
    return int(first), end


async def read(path: Path, length: int, *, start: int = 0) -> AsyncIterator[bytes]:
    """``length`` bytes from ``start`` on, a piece at a time; fewer where the file is shorter."""
    with await asyncio.to_thread(path.open, "rb") as opened:
        await asyncio.to_thread(opened.seek, start)
        while length and (piece := await asyncio.to_thread(opened.read, min(PIECE, length))):
            length -= len(piece)
            yield piece
