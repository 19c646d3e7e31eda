"""Bodies read with an eye on the scales: raw bytes, decoded bytes, seconds.

The HTTP client's own decoder hands over whatever a compressed chunk grows to (33.7 MB from
194 kB, seen); here a chunk grows by 64 kB at a time and stops at the cap.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass

import httpx

from kos.tools.net.failures import UnavailableError

PIECE_BYTES = 64 * 1024
MB = 1_000_000
# zlib or gzip, told by the header; a deflate body without one is tried raw.
_ANY_HEADER, _NO_HEADER = 47, -15
_PLAIN = ("", "identity")
_PACKED = ("gzip", "x-gzip", "deflate")


@dataclass(frozen=True)
class Caps:
    """How much of a body is read, and for how long all in all."""

    raw_bytes: int = 2 * MB
    decoded_bytes: int = 5 * MB
    seconds: float = 20.0


async def read_body(response: httpx.Response, caps: Caps) -> bytes:
    """The decoded body. ``UnavailableError`` when it is too big, broken or packed another way."""
    if response.is_stream_consumed:  # a transport that hands over whole answers, unpacked
        return _bounded(response.content, caps)
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in _PLAIN + _PACKED:
        raise UnavailableError(f"the answer is packed as {encoding!r}, which is not read")
    if int(response.headers.get("content-length", "0") or 0) > caps.raw_bytes:
        raise _too_big(caps.raw_bytes)
    body = bytearray()
    unpacker = _Unpacker() if encoding in _PACKED else None
    async with aclosing(_raw(response, caps)) as chunks:
        async for chunk in chunks:
            for piece in unpacker.feed(chunk) if unpacker else (chunk,):
                body += piece
                _bounded(body, caps)
    if unpacker:
        unpacker.close()
    return bytes(body)


def unpack_body(data: bytes, caps: Caps) -> bytes:
    """What ``data``, packed by gzip or deflate, unpacks to; raises as ``read_body`` does."""
    body = bytearray()
    unpacker = _Unpacker()
    for piece in unpacker.feed(data):
        body += piece
        _bounded(body, caps)
    unpacker.close()
    return bytes(body)


async def _raw(response: httpx.Response, caps: Caps) -> AsyncGenerator[bytes, None]:
    num_bytes = 0
    async for chunk in response.aiter_raw():
        num_bytes += len(chunk)
        if num_bytes > caps.raw_bytes:
            raise _too_big(caps.raw_bytes)
        yield chunk


class _Unpacker:
    """gzip and deflate, at most 64 kB at a time; a gzip body may have several members."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_ANY_HEADER)
        self._has_begun = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            if self._stream.eof:
                self._stream = zlib.decompressobj(_ANY_HEADER)
                self._has_begun = False
            piece = self._inflate(chunk)
            chunk = self._stream.unused_data or self._stream.unconsumed_tail
            self._has_begun = True
            if piece:
                yield piece

    def close(self) -> None:
        """The body is over; raises when its packing is not."""
        if self._has_begun and not self._stream.eof:
            raise UnavailableError("the answer breaks off")

    def _inflate(self, chunk: bytes) -> bytes:
        try:
            return self._stream.decompress(chunk, PIECE_BYTES)
        except zlib.error:
            if self._has_begun:
                raise UnavailableError("the answer's compression is broken") from None
        self._stream = zlib.decompressobj(_NO_HEADER)
        try:
            return self._stream.decompress(chunk, PIECE_BYTES)
        except zlib.error:
            raise UnavailableError("the answer's compression is broken") from None


def _bounded(body: bytes | bytearray, caps: Caps) -> bytes:
    if len(body) > caps.decoded_bytes:
        raise _too_big(caps.decoded_bytes)
    return body if isinstance(body, bytes) else b""


def _too_big(cap: int) -> UnavailableError:
    return UnavailableError(f"the answer is bigger than {cap / MB:g} MB", is_failure=False)
