"""Stands in for a vLLM server with LoRA hot-swap, with real log-probabilities of the tiny policy.

``keeps_old`` is the fault it is there for: it takes new adapters and answers with the first one.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kos.config import Lora
from kos.engine.base import SamplingParams
from kos.engine.local import LocalEngine
from tests.kos.engine import tiny


class HotServer:
    """Serves the policy in ``base`` on a free port."""

    can_restart = False
    key = ""

    def __init__(self, base: Path, lora: Lora) -> None:
        self.base, self.lora = base, lora
        self.adapters: dict[str, LocalEngine] = {}
        self.keeps_old = False
        self.asked: list[tuple[str, Any]] = []
        self.starts: list[str] = []
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def start(self, adapter: Path, name: str) -> None:
        """A fresh server knows nothing of the old ones."""
        self.starts.append(name)
        self.adapters.clear()
        self.keeps_old = False
        self.load(name, adapter)

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def load(self, name: str, path: Path) -> None:
        kept = next(iter(self.adapters.values()), None) if self.keeps_old else None
        self.adapters[name] = kept or LocalEngine.open(
            self.base, tiny.MACHINE, lora=self.lora, seed=0, adapter=path
        )

    def answer(self, path: str, asked: Any) -> tuple[int, Any]:
        self.asked.append((path, asked))
        match path:
            case "/v1/load_lora_adapter":
                self.load(asked["lora_name"], Path(asked["lora_path"]))
                return 200, {}
            case "/v1/unload_lora_adapter":
                del self.adapters[asked["lora_name"]]
                return 200, {}
            case "/reset_prefix_cache":
                return 200, {}
        engine = self.adapters.get(asked["model"])
        if engine is None:
            return 404, {"error": f"no model {asked['model']}"}
        if "prompt_logprobs" in asked:
            return 200, {"choices": [{"prompt_logprobs": read(engine, asked["prompt"])}]}
        how = SamplingParams(asked["max_tokens"], asked["temperature"], seed=asked["seed"])
        (drawn,) = engine.sample([asked["prompt"]], [how], num_samples=asked["n"])
        return 200, {"choices": [choice(number, one) for number, one in enumerate(drawn)]}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"] or 0))
                with server._lock:
                    status, told = server.answer(self.path, json.loads(body or b"{}"))
                data = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        return Handler


def read(engine: LocalEngine, tokens: list[int]) -> list[Any]:
    known = engine.compute_logprobs([tokens])[0]
    rows = [{str(token): {"logprob": logp}} for token, logp in zip(tokens[1:], known, strict=True)]
    return [None, *rows]


def choice(number: int, drawn: Any) -> dict[str, Any]:
    return {
        "index": number,
        "finish_reason": drawn.stop_reason,
        "token_ids": list(drawn.tokens),
        "logprobs": {"token_logprobs": list(drawn.logprobs)},
    }
