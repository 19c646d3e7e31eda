"""Answers of model servers within bounds: never packed, and never more than 128 MB.

httpx unpacks what a server packs, asked or not, and hands over whatever it grows to: a megabyte
can become a gigabyte. A model server has no need to pack.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import cast

import httpx

# An answer of 128 thousand tokens with their probabilities streams some 60 MB.
MAX_BODY_BYTES = 128_000_000


class Bounded(httpx.AsyncBaseTransport):
    """Sends every request through ``inner``; raises httpx's errors for what is too much."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask for a plain answer, and take no other."""
        request.headers["Accept-Encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        if (packed := _packing(response)) is not None:
            await response.aclose()
            raise packed
        return _with(response, _AsyncBody(cast("httpx.AsyncByteStream", response.stream)))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class BoundedSync(httpx.BaseTransport):
    """The same for plain functions."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask for a plain answer, and take no other."""
        request.headers["Accept-Encoding"] = "identity"
        response = self._inner.handle_request(request)
        if (packed := _packing(response)) is not None:
            response.close()
            raise packed
        return _with(response, _Body(cast("httpx.SyncByteStream", response.stream)))

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            size += len(chunk)
            _check(size)
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Body(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._inner:
            size += len(chunk)
            _check(size)
            yield chunk

    def close(self) -> None:
        self._inner.close()


def _packing(response: httpx.Response) -> httpx.DecodingError | None:
    said = response.headers.get("content-encoding", "identity").strip().lower()
    if said in ("", "identity"):
        return None
    return httpx.DecodingError(f"the answer is packed as {said[:40]!r}, unasked")


def _check(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise httpx.ReadError(f"the answer is longer than {MAX_BODY_BYTES // 10**6} MB")


def _with(
    response: httpx.Response, body: httpx.AsyncByteStream | httpx.SyncByteStream
) -> httpx.Response:
    return httpx.Response(
        response.status_code,
        headers=response.headers,
        stream=body,
        extensions=response.extensions,
    )
