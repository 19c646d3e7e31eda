"""Stands in for the program ``vllm``: takes its arguments and answers every question.

``FAKE_VLLM_LINE`` names a file for its command line. A question that says "crash" ends it.
"""

from __future__ import annotations

import json
import os
import socketserver
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="big"} 3.0
vllm:num_requests_waiting{engine="0",model_name="big"} 1.0
vllm:generation_tokens_total{engine="0",model_name="big"} 420.0
"""


class Handler(BaseHTTPRequestHandler):
    def address_string(self) -> str:
        return "socket"

    def do_GET(self) -> None:
        text = METRICS if self.path == "/metrics" else "{}"
        self.reply(text.encode())

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "crash" in json.dumps(asked):
            os._exit(9)
        words = f"Hello from {asked['model']}.".split(" ")
        deltas = [
            {"content": word if place == 0 else f" {word}"} for place, word in enumerate(words)
        ]
        chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        chunks.append({"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 5}})
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
        self.reply("".join([*lines, "data: [DONE]\n\n"]).encode())

    def reply(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    command, model, *options = sys.argv[1:]
    assert command == "serve"
    if told := os.environ.get("FAKE_VLLM_LINE"):
        Path(told).write_text("\n".join(sys.argv[1:]))
    if not Path(model).is_dir():
        sys.exit(f"no model in {model}")
    path = dict(option.partition("=")[::2] for option in options)["--uds"]
    socketserver.ThreadingUnixStreamServer(path, Handler).serve_forever()
