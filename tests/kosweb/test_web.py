"""The web process leaves to a successor: nobody is turned away, and what it began ends well."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
import uvicorn
from django.conf import settings
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from kosweb.web import Web
from tests.consoles import is_healthy, wait_until

PIECES = 8


async def application(scope, receive, send):
    """Streams pieces over a while, or holds a socket open."""
    await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await receive()
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(PIECES if scope["path"] == "/stream" else 1):
        await asyncio.sleep(0.1)
        piece = {"body": f"{number} ".encode(), "more_body": True}
        await send({"type": "http.response.body", **piece})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def serving(*, drain_seconds=5.0):
    """A web process' server on a socket that stays open, as the supervisor's does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        heard, tell = os.pipe()
        config = uvicorn.Config(application, lifespan="off", log_level="critical")
        server = Web(config, ready=tell, drain_seconds=drain_seconds)
        task = asyncio.create_task(server.serve(sockets=[listener.dup()]))
        assert await asyncio.to_thread(os.read, heard, 1) == b"1"
        os.close(heard)
        yield server, f"127.0.0.1:{listener.getsockname()[1]}", task
        stop(server)
        await task


def stop(server):
    """What SIGTERM does, without the signal that uvicorn raises again at its end."""
    server.handle_exit(15, None)
    server._captured_signals.clear()


async def test_a_stream_that_began_comes_to_its_end():
    async with serving() as (server, at, task), httpx.AsyncClient() as client:
        async with client.stream("GET", f"http://{at}/stream") as reply:
            pieces = reply.aiter_text()
            first = await anext(pieces)
            server.leave()
            rest = "".join([piece async for piece in pieces])
        assert (first + rest).split() == [str(number) for number in range(PIECES)]
        await task


async def test_one_that_never_ends_is_cut_when_the_time_is_up(monkeypatch):
    monkeypatch.setitem(globals(), "PIECES", 1000)
    async with serving(drain_seconds=1) as (server, at, task), httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("GET", f"http://{at}/stream") as reply:
                server.leave()
                await reply.aread()
        await task


async def test_who_asks_on_an_old_connection_is_told_to_close_it():
    async with serving() as (server, at, task), httpx.AsyncClient() as client:
        await client.get(f"http://{at}/")
        server.leave()
        await asyncio.sleep(0.3)
        reply = await client.get(f"http://{at}/")
        assert (reply.status_code, reply.headers["connection"]) == (200, "close")
        await task


async def test_a_socket_is_told_to_connect_again():
    async with serving(drain_seconds=1) as (server, at, _), connect(f"ws://{at}/") as viewer:
        server.leave()
        with pytest.raises(ConnectionClosed) as closed:
            await viewer.recv()
        assert closed.value.rcvd.code == 1012


async def test_who_connects_meanwhile_waits_for_the_successor():
    async with serving() as (server, at, task):
        server.leave()
        await task
        reader, writer = await asyncio.open_connection(*at.split(":"))
        assert not reader.at_eof()
        writer.close()


async def test_a_stop_of_the_whole_does_not_wait_for_streams():
    async with serving(drain_seconds=60) as (server, _, task):
        server.leave()
        stop(server)
        await asyncio.wait_for(task, 50)


def test_on_a_port_of_its_own_it_leaves_by_sighup_as_containers_stop_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        command = [sys.executable, "-m", "kosweb.web", "--host", "127.0.0.1", "--port", str(port)]
        given = os.environ | {"KOS_VAR": str(tmp_path), "DATABASE_URL": "postgresql:///none"}
        start = partial(subprocess.Popen, command, cwd=settings.ROOT, env=given, text=True)
        refused = start(stderr=subprocess.PIPE)
        assert f"port {port} cannot be had" in refused.communicate()[1]
    web = start()
    try:
        wait_until(lambda: web.poll() is not None or is_healthy(f"http://127.0.0.1:{port}"))
        web.send_signal(signal.SIGHUP)
        assert web.wait(30) == 0
    finally:
        web.kill()
