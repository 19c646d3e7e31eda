"""Stands in for the program ``vllm``: takes its arguments and answers every question."""

from __future__ import annotations

import json
import socketserver
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def address_string(self) -> str:
        return "socket"

    def do_GET(self) -> None:
        self.reply({})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": f"Hello from {asked['model']}."}
        self.reply({"choices": [{"message": message}], "usage": {"completion_tokens": 5}})

    def reply(self, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    command, model, *options = sys.argv[1:]
    assert command == "serve"
    if not Path(model).is_dir():
        sys.exit(f"no model in {model}")
    path = dict(option.split("=", 1) for option in options)["--uds"]
    socketserver.ThreadingUnixStreamServer(path, Handler).serve_forever()
