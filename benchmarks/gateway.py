"""What Kos's gateway costs: the same streams from an engine itself, and through Kos.

    python benchmarks/gateway.py [--streams 16] [--repeats 3]

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
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
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
    """Chunks as vLLM writes them, each at its time by the clock."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    started = time.perf_counter()
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await asyncio.sleep(PROMPT_SECONDS)
    await send(_body(_chunk({"role": "assistant", "content": ""})))
    for number in range(NUM_TOKENS):
        due = started + PROMPT_SECONDS + number / TOKENS_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await send(_body(_chunk({"content": f" word{number}"})))
    await send(_body(_chunk({}, "stop")))
    usage = {"prompt_tokens": 21, "total_tokens": 21 + NUM_TOKENS, "completion_tokens": NUM_TOKENS}
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


class Target(NamedTuple):
    """Whom to ask."""

    name: str
    port: int
    token: str = ""


async def ask(target: Target) -> Taken:
    """One request over a connection of its own, read as it comes."""
    body = json.dumps(ASK).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n"
    head += f"Authorization: Bearer {target.token}\r\n" if target.token else ""
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    head += "Connection: close\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    started = time.perf_counter()
    writer.write(head.encode() + body)
    first, answer = 0.0, b""
    while piece := await reader.read(65536):
        answer += piece
        if not first and b" word0" in answer:
            first = time.perf_counter() - started
    seconds = time.perf_counter() - started
    writer.close()
    await writer.wait_closed()
    if answer.count(b" word") != NUM_TOKENS:
        raise SystemExit(f"{target.name} gave a broken answer:\n{answer[:600].decode()}")
    return Taken(first, NUM_TOKENS / seconds)


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
    with tempfile.TemporaryDirectory(prefix="kos-bench-") as folder:
        port = free_port()
        os.environ |= {"KOS_VAR": folder, "KOS_PORT": str(port)}
        for name in ("DATABASE_URL", "REDIS_URL"):
            os.environ.pop(name, None)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kosweb.settings")
        from kosweb.embedded import postgres

        server = postgres.Postgres(Path(folder), Path(folder) / "postgres.log")
        server.prepare()
        database = server.make()
        database.start()
        try:
            server.wait_ready(database)
            token = prepare(f"http://127.0.0.1:{engine_port}")
            with running(
                [*["uvicorn", "kosweb.asgi:application", "--log-level", "warning"]],
                port,
                Path(folder) / "web.log",
            ):
                yield Target("through Kos", port, token)
        finally:
            database.stop()


def prepare(engine_url: str) -> str:
    """Tables, a person with a token and no limit, a deployment behind the alias ``bench``."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connections

    from apps.accounts.models import Role
    from apps.accounts.services import create_token, make_user
    from apps.deployments import aliases, limits
    from apps.deployments.models import Deployment
    from apps.runs.models import Run, Status
    from kos.config import Remote

    call_command("migrate", verbosity=0, run_syncdb=True)
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


@contextmanager
def running(module: list[str], port: int, log: Path) -> Iterator[None]:
    """A Python module that serves ``port``, until the block ends."""
    command = [sys.executable, "-m", *module, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
    try:
        end = time.monotonic() + 60
        while not is_open(port):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{module[0]} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
    sys.path.insert(0, str(ROOT))
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "engine.log"
        with (
            running(["uvicorn", "benchmarks.gateway:engine", "--log-level", "warning"], port, log),
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
