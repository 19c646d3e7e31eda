"""Long replies that are written as they are sent.

Django gathers a plain iterator whole before it sends the first byte to an ASGI server, which for an
export of a million rows is all of the memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

# Parts made before the loop is asked again: a hop between threads costs more than a row.
PARTS = 200


class Streamed(StreamingHttpResponse):
    """A reply from an ordinary iterator of rows, some of which are in memory at a time."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        parts: Iterator[bytes] = iter(self)
        take = sync_to_async(lambda: b"".join(islice(parts, PARTS)))
        while piece := await take():
            yield piece
