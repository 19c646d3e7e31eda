"""An OpenAI-compatible server with fixed words, on a port of this machine: the stand-in for a
foreign engine. ``asked`` keeps the bodies; ``gone`` counts callers that left early.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn


@dataclass
class Scripted:
    """The ASGI application. ``raws`` are what /v1/completions writes, the last one ever after."""

    words: tuple[str, ...] = ("one", " two", " three")
    raws: list[str] = field(default_factory=lambda: ["one two three"])
    model: str = "script"
    key: str = ""
    pause_seconds: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    gone: int = 0
    url: str = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        if self.key and headers.get(b"authorization") != f"Bearer {self.key}".encode():
            error = {"error": {"message": "wrong key", "type": "invalid_request_error"}}
            await self._reply(send, 401, error)
        elif scope["path"] == "/v1/models":
            await self._reply(send, 200, {"data": [{"id": self.model}]})
        elif scope["method"] == "GET":
            await self._reply(send, 200, {})
        else:
            await self._answer(scope["path"], receive, send)

    async def _answer(self, path: str, receive: Any, send: Any) -> None:
        body = json.loads((await receive())["body"])
        self.asked.append(body)
        if body.get("messages", [{}])[-1].get("content") == "fail":
            await self._reply(send, 400, {"error": {"message": "cannot", "type": "bad"}})
        elif body.get("stream"):
            await self._stream(body, path == "/v1/completions", receive, send)
        else:
            message = {"role": "assistant", "content": "".join(self.words)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
            await self._reply(send, 200, {"choices": [choice], "usage": usage, "id": "x"})

    async def _stream(self, body: Any, is_raw: bool, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
        watch = asyncio.create_task(receive())
        raw = self.raws.pop(0) if len(self.raws) > 1 else self.raws[0]
        pieces = [raw[i : i + 4] for i in range(0, len(raw), 4)]
        for piece in pieces if is_raw else self.words:
            await asyncio.sleep(self.pause_seconds)
            if watch.done():
                self.gone += 1
                return
            said = {"text": piece} if is_raw else {"delta": {"content": piece}}
            await self._event(send, {"choices": [{"index": 0, **said}]})
        watch.cancel()
        last = {"finish_reason": "stop"} | ({"text": ""} if is_raw else {"delta": {}})
        await self._event(send, {"choices": [{"index": 0, **last}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
            await self._event(send, {"choices": [], "usage": usage})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _event(self, send: Any, data: Any) -> None:
        body = b"data: " + json.dumps(data).encode() + b"\n\n"
        await send({"type": "http.response.body", "body": body, "more_body": True})

    async def _reply(self, send: Any, status: int, data: Any) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(data).encode()})


EVENTS = [(b"content-type", b"text/event-stream")]


@contextmanager
def serve(app: Any = None, *, lifespan: Any = "off", **options: Any) -> Iterator[Any]:
    """Run ``app`` (or a Scripted) in a thread; its ``url`` is where it listens."""
    app = app or Scripted(**options)
    config = uvicorn.Config(
        app, port=0, lifespan=lifespan, log_config=None, timeout_graceful_shutdown=2, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),), daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    app.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield app
    finally:
        server.should_exit = True
        thread.join()
