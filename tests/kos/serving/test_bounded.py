"""What a model's server sends stays within bounds."""

from __future__ import annotations

import gzip

import httpx
import pytest

from kos.errors import UserError
from kos.serving import bounded, deltas
from kos.serving.bounded import Bounded, BoundedSync
from kos.serving.client import HttpClient, Message


def answers(content: bytes, **headers: str) -> httpx.MockTransport:
    return httpx.MockTransport(
        lambda request: httpx.Response(200, content=content, headers=headers)
    )


async def test_a_packed_answer_is_not_unpacked():
    # MockTransport unpacks nothing by itself: the header is what the guard reads.
    inner = httpx.MockTransport(
        lambda request: httpx.Response(
            200,
            headers={"content-encoding": "gzip"},
            stream=httpx.ByteStream(gzip.compress(bytes(10**7))),
        )
    )
    async with httpx.AsyncClient(transport=Bounded(inner)) as client:
        with pytest.raises(httpx.DecodingError, match="packed as 'gzip', unasked"):
            await client.get("http://model/")


async def test_an_answer_without_end_ends_at_the_bound(monkeypatch):
    monkeypatch.setattr(bounded, "MAX_BODY_BYTES", 1000)
    async with httpx.AsyncClient(transport=Bounded(answers(b"x" * 1001))) as client:
        with pytest.raises(httpx.ReadError, match="longer than"):
            await client.get("http://model/")
    with (
        httpx.Client(transport=BoundedSync(answers(b"x" * 1001))) as plain,
        pytest.raises(httpx.ReadError, match="longer than"),
    ):
        plain.get("http://model/")


async def test_an_event_without_end_is_not_gathered(monkeypatch):
    monkeypatch.setattr(deltas, "MAX_EVENT_BYTES", 1000)
    client = HttpClient("http://x", "kos", transport=answers(b"data: " + b"x" * 2000))
    with pytest.raises(UserError, match="an event of more than"):
        async for _ in client.stream_chat((Message("user", "?"),), max_tokens=1, temperature=0):
            pass
