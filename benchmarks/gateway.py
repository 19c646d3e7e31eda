"""What Kos's gateway costs: the same streams from an engine itself, and through Kos.

    python -m benchmarks.gateway [--streams 16] [--repeats 3]

A scripted OpenAI engine in a process of its own writes tokens at a fixed rate, after a fixed
time for the prompt, so that whatever differs is the way between. Kos is the real ASGI
application under uvicorn with an embedded PostgreSQL and a KOS_VAR of its own; token, alias,
limits and usage records are all at work. Both are asked in turn, over TCP, by the same client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.consoles import WEB, database, free_port, running

PROMPT_SECONDS = 0.05
TOKENS_PER_SECOND = 40.0
NUM_TOKENS = 80
ASK = {
    "model": "bench",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Which dose of paracetamol may an adult take in a day?"},
    ],
    "max_tokens": NUM_TOKENS,
    "temperature": 0.7,
    "top_p": 1.0,
    "stream": True,
}


# --- The engine -------------------------------------------------------------------------------
async def engine(scope: Any, receive: Any, send: Any) -> None:
    """Chunks as vLLM writes them, each at its time by the clock.

    A request may name another rate: ``tokens_per_second``.
    """
    if scope["type"] != "http":
        return
    text, is_over = b"", False
    while not is_over:
        message = await receive()
        text += message.get("body", b"")
        is_over = not message.get("more_body")
    asked = json.loads(text)
    count, rate = asked["max_tokens"], asked.get("tokens_per_second", TOKENS_PER_SECOND)
    started = time.perf_counter()
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await asyncio.sleep(PROMPT_SECONDS)
    await send(_body(_chunk({"role": "assistant", "content": ""})))
    for number in range(count):
        due = started + PROMPT_SECONDS + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await send(_body(_chunk({"content": f" word{number}"})))
    await send(_body(_chunk({}, "stop")))
    usage = {"prompt_tokens": 21, "total_tokens": 21 + count, "completion_tokens": count}
    await send(_body({**_around(), "choices": [], "usage": usage}))
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def _around() -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "bench"}


def _chunk(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {**_around(), "choices": [choice]}


def _body(data: dict[str, Any]) -> dict[str, Any]:
    text = b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"
    return {"type": "http.response.body", "body": text, "more_body": True}


# --- The client -------------------------------------------------------------------------------
class Taken(NamedTuple):
    """One stream: seconds to its first token, and tokens a second of the whole stream."""

    first: float
    rate: float


class Heard(NamedTuple):
    """What came back: the head and body as they are, and when each piece with tokens came."""

    answer: bytes
    seconds: float
    pieces: list[tuple[float, int]]

    @property
    def status(self) -> int:
        """The HTTP status; 0 when nothing came."""
        return int(self.answer[9:12] or 0)

    @property
    def num_tokens(self) -> int:
        """How many tokens came."""
        return sum(count for _, count in self.pieces)


class Target(NamedTuple):
    """Whom to ask."""

    name: str
    port: int
    token: str = ""


async def ask(target: Target) -> Taken:
    """One request, which has to be answered whole."""
    heard = await hear(target, ASK)
    if heard.num_tokens != NUM_TOKENS:
        raise SystemExit(f"{target.name} gave a broken answer:\n{heard.answer[:600].decode()}")
    return Taken(heard.pieces[0][0], NUM_TOKENS / heard.seconds)


async def hear(target: Target, asked: dict[str, Any]) -> Heard:
    """One request over a connection of its own, read as it comes."""
    body = json.dumps(asked).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n"
    head += f"Authorization: Bearer {target.token}\r\n" if target.token else ""
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    head += "Connection: close\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    started = time.perf_counter()
    writer.write(head.encode() + body)
    answer = bytearray()
    pieces: list[tuple[float, int]] = []
    try:
        while piece := await reader.read(65536):
            answer += piece
            # The first half of a word may have come with the piece before.
            found = answer.count(b" word", max(0, len(answer) - len(piece) - 4))
            if found:
                pieces.append((time.perf_counter() - started, found))
    finally:
        writer.close()
    return Heard(bytes(answer), time.perf_counter() - started, pieces)


async def streams(target: Target, number: int, *, spread: float) -> list[Taken]:
    """``number`` streams at a time, begun within ``spread`` seconds of each other."""

    async def one(place: int) -> Taken:
        await asyncio.sleep(random.Random(place).random() * spread)  # noqa: S311 (no secret)
        return await ask(target)

    return await asyncio.gather(*(one(place) for place in range(number)))


# --- Kos --------------------------------------------------------------------------------------
@contextmanager
def console(engine_port: int) -> Iterator[Target]:
    """A console of its own, with a deployment of the engine behind an alias."""
    port = free_port()
    with database() as folder:
        token = prepare(f"http://127.0.0.1:{engine_port}")
        with running(WEB, port, folder / "web.log"):
            yield Target("through Kos", port, token)


def prepare(engine_url: str) -> str:
    """A person with a token and no limit, and a deployment behind the alias ``bench``."""
    from django.db import connections

    from apps.accounts.models import Role
    from apps.accounts.services import create_token, make_user
    from apps.deployments import aliases, limits
    from apps.deployments.models import Deployment
    from apps.runs.models import Run, Status
    from kos.config import Remote

    user = make_user("bench", "bench bench bench", Role.ENGINEER)
    limits.set_allowance(user, tokens_per_day=0, requests_per_minute=100_000)
    run = Run.objects.create(
        name="bench",
        kind="remote",
        owner=user,
        status=Status.DONE,
        config=Remote(url=engine_url).model_dump(mode="json"),
    )
    deployment = Deployment.objects.create(
        name="engine",
        run=run,
        engine=Deployment.Engine.REMOTE,
        url=engine_url,
        model="bench",
        status=Deployment.Status.READY,
        asking=Remote().asking.model_dump(mode="json"),
    )
    aliases.promote("bench", deployment, by=user, reason="To be measured.")
    token = create_token(user, "bench").text
    connections.close_all()
    return token


# --- The comparison ---------------------------------------------------------------------------
def compare(targets: list[Target], number: int, repeats: int, *, spread: float) -> list[str]:
    """Lines of the table: medians over all streams of all repeats, asked in turn."""
    taken: dict[str, list[Taken]] = {target.name: [] for target in targets}
    for target in targets:
        asyncio.run(streams(target, number, spread=spread))  # connections, caches, byte code
    for _ in range(repeats):
        for target in targets:
            taken[target.name] += asyncio.run(streams(target, number, spread=spread))
    lines = []
    for name, rows in taken.items():
        first = sorted(row.first * 1000 for row in rows)
        lines.append(
            f"| {name} | {statistics.mean(first):.1f} | {statistics.median(first):.1f} "
            f"| {first[int(len(first) * 0.95)]:.1f} | {statistics.mean(r.rate for r in rows):.2f} |"
        )
    direct, through = (taken[target.name] for target in targets)
    added = [
        (statistics.mean(r.first for r in through) - statistics.mean(r.first for r in direct)),
        (statistics.median(r.first for r in through) - statistics.median(r.first for r in direct)),
    ]
    lost = 1 - statistics.mean(r.rate for r in through) / statistics.mean(r.rate for r in direct)
    lines.append(
        f"| added by Kos | {added[0] * 1000:+.1f} | {added[1] * 1000:+.1f} | | {-lost:+.1%} |"
    )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "engine.log"
        with (
            running(("uvicorn", "benchmarks.gateway:engine", "--log-level", "warning"), port, log),
            console(port) as kos,
        ):
            targets = [Target("engine itself", port), kos]
            load = ", ".join(f"{part:.1f}" for part in os.getloadavg())
            print(f"{len(os.sched_getaffinity(0))} cores, load before {load}")
            for title, spread in (("begun within a second", 1.0), ("begun at once", 0.0)):
                print(f"\n{options.streams} streams, {title}\n")
                print("| | first token, mean ms | median ms | p95 ms | tokens/s a stream |")
                print("|---|---|---|---|---|")
                lines = compare(targets, options.streams, options.repeats, spread=spread)
                print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
