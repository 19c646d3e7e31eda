"""The lean client against servers that behave, and servers that do not."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from kos.serving import upstream
from kos.serving.client import socket_url
from kos.serving.upstream import Pool, Upstream, UpstreamError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@asynccontextmanager
async def serving(*replies: bytes, hangs: bool = False):
    """A TCP server that answers each request with the next reply. Yields address and requests."""
    left, asked = [*replies], []

    async def answer(reader, writer):
        try:
            while left:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                asked.append((writer, head, await reader.readexactly(length)))
                for piece in left.pop(0).split(b"|"):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
                while hangs and not writer.is_closing():
                    await asyncio.sleep(0.01)
                    await reader.read(1)
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", asked
    finally:
        server.close()
        await server.wait_closed()


async def test_a_body_of_known_length_is_read():
    async with serving(OK) as (url, asked):
        server = Upstream(f"{url}/base/")
        async with await server.post("/v1/x", b"{}", key="sk-1") as response:
            assert (response.status, await response.read_all()) == (200, b"hello")
        server.close()
    _, head, body = asked[0]
    assert head.startswith(b"POST /base/v1/x HTTP/1.1\r\n")
    assert b"Authorization: Bearer sk-1\r\n" in head
    assert body == b"{}"


async def test_chunks_come_as_they_are_sent():
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n|3\r\none\r\n|3\r\ntwo\r\n|0\r\n\r\n"
    async with serving(reply) as (url, _):
        server = Upstream(url)
        async with await server.post("/", b"") as response:
            assert [await response.read() for _ in range(3)] == [b"one", b"two", b""]
        server.close()


async def test_a_body_may_end_with_its_connection():
    async with serving(b"HTTP/1.1 200 OK\r\n\r\n|all there is") as (url, _):
        response = await Upstream(url).post("/", b"")
        assert await response.read_all() == b"all there is"
        response.close()


async def test_a_connection_is_used_again():
    async with serving(OK, OK) as (url, asked):
        server = Upstream(url)
        for _ in range(2):
            async with await server.post("/", b"") as response:
                await response.read_all()
        assert asked[0][0] is asked[1][0]
        server.close()


async def test_a_connection_that_the_server_closed_is_replaced():
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    async with serving(closing) as (url, _):
        server = Upstream(url)
        async with await server.post("/", b"") as response:
            await response.read_all()
        await asyncio.sleep(0.05)
    with pytest.raises(UpstreamError):
        await server.post("/", b"")


async def test_an_idle_connection_is_not_kept_for_long(monkeypatch):
    monkeypatch.setattr(upstream, "IDLE_SECONDS", 0.0)
    async with serving(OK, OK) as (url, asked):
        server = Upstream(url)
        for _ in range(2):
            async with await server.post("/", b"") as response:
                await response.read_all()
        assert asked[0][0] is not asked[1][0]
        server.close()


async def test_leaving_early_closes_the_connection():
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    async with serving(reply, hangs=True) as (url, asked):
        server = Upstream(url)
        async with await server.post("/", b"") as response:
            assert await response.read() == b"one"
        await asyncio.sleep(0.05)
        assert asked[0][0].is_closing()


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "closed the connection"),
        (b"nonsense\r\n\r\n", "does not speak HTTP"),
    ],
)
async def test_what_breaks_off_is_an_error(reply, sentence):
    async with serving(reply) as (url, _):
        with pytest.raises(UpstreamError, match=sentence):
            async with await Upstream(url).post("/", b"") as response:
                await response.read_all()


async def test_silence_is_an_error():
    async with serving(b"", hangs=True) as (url, _):
        with pytest.raises(UpstreamError, match=r"silent for 0\.05 s"):
            await Upstream(url, silence_seconds=0.05).post("/", b"")


async def test_nobody_there_is_an_error(tmp_path):
    for url in ("http://127.0.0.1:9", socket_url(tmp_path / "no.sock")):
        with pytest.raises(UpstreamError):
            await Upstream(url).post("/", b"")


async def test_a_key_cannot_add_headers():
    async with serving(OK) as (url, _):
        with pytest.raises(UpstreamError, match="line break"):
            await Upstream(url).post("/", b"", key="a\r\nX: y")


async def test_a_slow_reader_makes_the_server_wait(monkeypatch):
    monkeypatch.setattr(upstream, "MOST_HELD_BYTES", 10)
    big = b"x" * 100_000
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + big
    async with serving(reply) as (url, _), await Upstream(url).post("/", b"") as response:
        await asyncio.sleep(0.05)
        assert response._connection._is_paused
        assert await response.read_all() == big


async def test_each_server_of_a_loop_has_one_entry():
    pool = Pool()
    assert pool.at("http://a") is pool.at("http://a")
    assert pool.at("http://a") is not pool.at("http://b")
    pool.close()
