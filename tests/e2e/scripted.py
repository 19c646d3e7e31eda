"""An OpenAI-compatible engine that follows a script, for browser tests of the playground.

It asks for one tool call, then answers from its result and cites ``[S1]``, and ``[S9]`` which
nobody found. A question with "slowly" is answered word by word, for as long as one likes.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOSTILE = "<img src=x onerror=alert(1)> ![](https://evil.example/x.png) [S1]: https://evil.example"


class Engine(BaseHTTPRequestHandler):
    """One request to it."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *parts: Any) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": "scripted"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        # The caller may leave in the middle: that is what "stop" does.
        with suppress(BrokenPipeError, ConnectionResetError):
            for delta, finish in turn(asked):
                self.say(delta, finish)
            self.wfile.write(b"data: [DONE]\n\n")

    def say(self, delta: dict[str, Any], finish: str | None) -> None:
        chunk = {
            "id": "x",
            "object": "chat.completion.chunk",
            "model": "scripted",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()


def turn(asked: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str | None]]:
    """The deltas of one turn, each with the finish reason where it is the last."""
    messages = asked["messages"]
    question = next(one["content"] for one in reversed(messages) if one["role"] == "user")
    if "slowly" in question:
        for number in range(400):
            yield {"content": f"word{number} "}, None
            time.sleep(0.05)
    elif messages[-1]["role"] == "tool":
        yield {"reasoning_content": "The code is known now."}, None
        for word in answer(question, asked["model"]).split(" "):
            yield {"content": f"{word} "}, None
            time.sleep(0.02)
    else:
        time.sleep(0.3)
        yield {"reasoning_content": "I look the code up."}, None
        yield {"tool_calls": [call(question)]}, None
        yield {}, "tool_calls"
        return
    yield {}, "stop"


def call(question: str) -> dict[str, Any]:
    arguments = json.dumps({"query": "gout"})
    return {
        "index": 0,
        "id": "call_0",
        "type": "function",
        "function": {"name": "search_icd", "arguments": arguments},
    }


def answer(question: str, model: str) -> str:
    text = (
        f"**Gout** is coded M10 [S1]. This is said by {model}, also [S9].\n\n"
        "| code | for |\n|---|---|\n| M10.9 | gout, unspecified |\n\n"
        "- Ask about kidney function.\n- A hot joint with fever needs to be seen today."
    )
    return f"{text}\n\n{HOSTILE}" if "hostile" in question else text


@contextmanager
def serve() -> Iterator[str]:
    """Its URL, for as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
