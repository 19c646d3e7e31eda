"""A small model served by this process: OpenAI's endpoints on a Unix socket."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import ValidationError

from kos.serving.generation import (
    Ended,
    Generation,
    GenerationEvent,
    ModelThread,
    Refused,
    Started,
    Text,
)
from kos.serving.tokens import TokenModel
from kos.serving.wire import Answer, ChatRequest, CompletionRequest, Request

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class LocalApp:
    """The ASGI application: ``/health``, ``/v1/models`` and the two completion endpoints."""

    name: str
    thread: ModelThread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        match scope["method"], scope["path"]:
            case "GET", "/health":
                await _reply(send, 200 if self.thread.is_alive else 503, {"model": self.name})
            case "GET", "/v1/models":
                model = {"id": self.name, "object": "model", "created": 0, "owned_by": "kos"}
                await _reply(send, 200, {"object": "list", "data": [model]})
            case "POST", "/v1/chat/completions":
                await self._complete(ChatRequest, receive, send)
            case "POST", "/v1/completions":
                await self._complete(CompletionRequest, receive, send)
            case method, path:
                await _refuse(send, 404, f"There is no {method} {path} here.")

    async def _complete(self, form: type[Request], receive: Receive, send: Send) -> None:
        try:
            request = form.model_validate_json(await _body(receive))
        except ValidationError as error:
            await _refuse(send, 400, _first_sentence(error))
            return
        if request.model != self.name:
            await _refuse(
                send, 404, f"This server serves {self.name!r}; it has no {request.model!r}."
            )
            return
        if not self.thread.is_alive:
            await _refuse(send, 503, "The model stopped; start the deployment again.")
            return
        await self._generate(request, receive, send)

    async def _generate(self, request: Request, receive: Receive, send: Send) -> None:
        generation = request.to_generation()
        self.thread.submit(generation)
        watch = asyncio.create_task(_cancel_on_disconnect(generation, receive))
        try:
            first = await generation.events.get()
            if isinstance(first, Refused):
                await _refuse(send, 400 if first.is_users_fault else 503, first.sentence)
            elif request.stream:
                await _stream(request.answer(), first, generation, send)
            else:
                await _whole(request.answer(), first, generation, send)
        finally:
            generation.cancel()
            watch.cancel()


class LocalServer:
    """A running server; ``check`` raises what ended it, if anything did."""

    def __init__(self, model: TokenModel, *, name: str, path: Path, max_context: int) -> None:
        self._path = path
        self._thread = ModelThread(model, max_context=max_context)
        self._socket = _listen(path)
        config = uvicorn.Config(
            LocalApp(name, self._thread),
            loop="asyncio",  # uvloop refuses a Unix socket that is handed to it
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._web = threading.Thread(target=self._serve, name="web", daemon=True)
        self._web.start()

    def check(self) -> None:
        """Raise what ended the model's thread, or say that the web thread is gone."""
        self._thread.check()
        assert self._web.is_alive(), "the local server's web thread ended"

    def close(self) -> None:
        """Stop answering and remove the socket."""
        self._server.should_exit = True
        self._web.join()
        self._thread.close()
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))


@contextmanager
def serve(model: TokenModel, *, name: str, path: Path, max_context: int) -> Iterator[LocalServer]:
    """Serve ``model`` as ``name`` on the Unix socket ``path`` until the block ends."""
    server = LocalServer(model, name=name, path=path, max_context=max_context)
    try:
        yield server
    finally:
        server.close()


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(64)
    return listener


async def _stream(
    answer: Answer, first: GenerationEvent, generation: Generation, send: Send
) -> None:
    await _start(send, 200, b"text/event-stream")
    await _event(send, answer.opening())
    event = first
    while True:
        match event:
            case Started(prompt_ids):
                answer.num_prompt_tokens = len(prompt_ids)
            case Text() as piece:
                await _event(send, answer.piece(piece))
            case Ended(finish_reason, num_tokens):
                await _event(send, answer.closing(finish_reason))
                await _event(send, answer.usage_chunk(num_tokens))
                await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
                return
            case Refused(sentence, _):
                await _event(send, {"error": {"message": sentence}})
                await send({"type": "http.response.body", "body": b""})
                return
        event = await generation.events.get()


async def _whole(
    answer: Answer, first: GenerationEvent, generation: Generation, send: Send
) -> None:
    pieces = []
    event = first
    while True:
        match event:
            case Started(prompt_ids):
                answer.num_prompt_tokens = len(prompt_ids)
            case Text() as piece:
                pieces.append(piece)
            case Ended(finish_reason, num_tokens):
                await _reply(send, 200, answer.whole(pieces, finish_reason, num_tokens))
                return
            case Refused(sentence, _):
                await _refuse(send, 503, sentence)
                return
        event = await generation.events.get()


async def _cancel_on_disconnect(generation: Generation, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    generation.cancel()


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message: Mapping[str, Any] = await receive()
        piece: bytes = message.get("body", b"")
        body += piece
        if not message.get("more_body"):
            return body


def _first_sentence(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}" if place else problem["msg"]


async def _start(send: Send, status: int, content_type: bytes) -> None:
    headers = [(b"content-type", content_type), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _reply(send: Send, status: int, body: Mapping[str, Any]) -> None:
    await _start(send, status, b"application/json")
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def _refuse(send: Send, status: int, sentence: str) -> None:
    kind = "invalid_request_error" if status < 500 else "server_error"
    await _reply(send, status, {"error": {"message": sentence, "type": kind}})


async def _event(send: Send, data: Mapping[str, Any] | None) -> None:
    if data is None:
        return
    body = b"data: " + json.dumps(data).encode() + b"\n\n"
    await send({"type": "http.response.body", "body": body, "more_body": True})
