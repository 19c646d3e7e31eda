"""OpenAI's words: errors, chunks and whole answers, with Kos's additions under ``kos``."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

JSON = "application/json"
EVENTS = "text/event-stream"
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Reply:
    """What goes back to the caller. A stream must be closed, also when it was not read."""

    status: int
    body: bytes | AsyncGenerator[bytes, None]
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, headers: Mapping[str, str]) -> Reply:
        """The same with more headers."""
        return Reply(self.status, self.body, self.content_type, {**self.headers, **headers})


@dataclass(frozen=True)
class Said:
    """Some more of an answer: a ``delta`` as OpenAI has it."""

    delta: Mapping[str, Any]


@dataclass(frozen=True)
class Finished:
    """The answer is over. ``kos`` is what Kos adds to it."""

    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    kos: Mapping[str, Any] = field(default_factory=dict)

    @property
    def usage(self) -> dict[str, int]:
        """What it took."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


def error(status: int, sentence: str, *, code: str = "", param: str | None = None) -> Reply:
    """An error as OpenAI's clients read it."""
    body = {
        "message": sentence,
        "type": "invalid_request_error" if status < 500 else "server_error",
        "param": param,
        "code": code or HTTPStatus(status).name.lower(),
    }
    return Reply(status, json.dumps({"error": body}).encode())


def event(data: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


@dataclass(frozen=True)
class Envelope:
    """What stands around every piece of one answer."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        """A piece of a stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event(self._around("chat.completion.chunk", [choice]))

    def last_chunk(self, finished: Finished) -> bytes:
        """The piece that says why the answer ended, with Kos's additions."""
        choice = {"index": 0, "delta": {}, "finish_reason": finished.finish_reason}
        body = self._around("chat.completion.chunk", [choice])
        return event(body | ({"kos": finished.kos} if finished.kos else {}))

    def usage_chunk(self, finished: Finished) -> bytes:
        """What it took, for who asked to be told."""
        return event(self._around("chat.completion.chunk", []) | {"usage": finished.usage})

    def whole(self, message: Mapping[str, Any], finished: Finished) -> bytes:
        """The answer in one piece."""
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": finished.finish_reason,
        }
        body = self._around("chat.completion", [choice]) | {"usage": finished.usage}
        return json.dumps(body | ({"kos": finished.kos} if finished.kos else {})).encode()

    def _around(self, kind: str, choices: list[Any]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
