"""What an evaluation costs beside the requests themselves, and whether a kill loses anything.

    python -m benchmarks.evaluation [--prompts 1000] [--samples 8] [--kills 5]

A scripted model and judge answer at once, in a process of their own. Three things run against
them: a bare loop that sends the same requests with as many in flight and keeps nothing (the
peer), Kos's evaluation job, and the job again with ``kill -9`` at random moments, taken up each
time. Printed: milliseconds a graded item of both, their ratio, and for the killed run how many
answers and rulings were lost (must be none) and how many requests were sent twice (at most those
in flight at each kill).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import random
import socket
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import httpx
import uvicorn

from kos.config import Evaluate, Sampling
from kos.data.rubrics import RubricItem, RubricTask
from kos.evals import journal
from kos.evals.answering import AtEndpoint
from kos.evals.run import evaluate
from kos.events import LocalJob
from kos.grading.judge import Judge

MODEL_IN_FLIGHT, JUDGE_IN_FLIGHT = 32, 64
ITEMS = ("Names a drug", "Says when to come back")


class Script:
    """An OpenAI-compatible server: answers and rulings at once. Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/asked":
            counts = {"total": self.asked.total(), "different": len(self.asked)}
            await self._send(send, b"application/json", json.dumps(counts).encode())
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":  # its asker was killed
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        asked = json.loads(body)
        if asked["model"] == "judge":
            self.asked[asked["messages"][1]["content"]] += 1
            text = '{"explanation": "It does.", "criteria_met": true}'
            reply = {"choices": [{"message": {"content": text}}], "usage": {}}
            await self._send(send, b"application/json", json.dumps(reply).encode())
        else:
            await self._send(send, b"text/event-stream", stream(asked))

    async def _send(self, send, kind: bytes, body: bytes) -> None:
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def stream(asked: dict) -> bytes:
    """An answer that differs with the prompt and the seed, as a real model's does."""
    text = f"Take colchicine. ({asked['messages'][-1]['content']}, {asked.get('seed')})"
    parts = [
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 9}},
    ]
    return b"".join(b"data: %s\n\n" % json.dumps(p).encode() for p in parts) + b"data: [DONE]\n\n"


def serve(listener: socket.socket) -> None:
    # No connection is closed on an asker that a busy machine keeps waiting.
    config = uvicorn.Config(
        Script(), log_level="warning", access_log=False, lifespan="off", timeout_keep_alive=600
    )
    uvicorn.Server(config).run(sockets=[listener])


def tasks(count: int) -> list[RubricTask]:
    rubric = tuple(RubricItem(key=f"i{n}", text=text, points=5) for n, text in enumerate(ITEMS))
    return [
        RubricTask(
            id=f"p{n}",
            messages=[{"role": "user", "content": f"Question {n}?"}],
            rubric=rubric,
            split="test",
        )
        for n in range(count)
    ]


def config_of(url: str, samples: int) -> Evaluate:
    return Evaluate(
        samples=samples,
        sampling=Sampling(max_tokens=64),
        answering=AtEndpoint(url=url, model="model", in_flight=MODEL_IN_FLIGHT),
        grader=Judge(url=url, model="judge", in_flight=JUDGE_IN_FLIGHT),
    )


def run(config: Evaluate, folder: Path, dataset: Path) -> None:
    evaluate(config, LocalJob(folder, {"dataset": dataset}, seed=1))


async def bare(url: str, num_answers: int) -> None:
    """The same requests with as many in flight, and nothing else."""
    room = asyncio.Semaphore(JUDGE_IN_FLIGHT)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as http:

        async def post(body: dict) -> None:
            async with room:
                (await http.post("/v1/chat/completions", json=body)).raise_for_status()

        async def one(number: int) -> None:
            message = [{"role": "user", "content": f"Question {number}?"}]
            await post({"model": "model", "messages": message, "stream": True})
            twice = [{"role": "user", "content": "?"}] * 2
            await asyncio.gather(*(post({"model": "judge", "messages": twice}) for _ in ITEMS))

        await asyncio.gather(*(one(number) for number in range(num_answers)))


def killed(config: Evaluate, folder: Path, dataset: Path, kills: int, seconds: float) -> int:
    """Run the job with ``kills`` kills at random moments; returns how often it was started."""
    draw = random.Random(7)  # noqa: S311
    starts = 0
    while True:
        starts += 1
        job = multiprocessing.get_context("spawn").Process(
            target=run, args=(config, folder, dataset)
        )
        job.start()
        job.join(2.0 + draw.random() * seconds / (kills + 1) if starts <= kills else None)
        if not job.is_alive():
            assert job.exitcode == 0, f"the job ended with {job.exitcode}"
            return starts
        job.kill()
        job.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--kills", type=int, default=5)
    chosen = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = multiprocessing.get_context("fork").Process(target=serve, args=(listener,))
    server.start()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            report(chosen, url, Path(scratch))
    finally:
        server.terminate()
        server.join()


def report(chosen: argparse.Namespace, url: str, scratch: Path) -> None:
    dataset = scratch / "tasks.jsonl"
    rows = tasks(chosen.prompts)
    dataset.write_text("".join(task.model_dump_json() + "\n" for task in rows))
    num_answers = chosen.prompts * chosen.samples
    num_items = num_answers * len(ITEMS)
    config = config_of(url, chosen.samples)

    asked(url)  # the server is up
    started, spent = time.perf_counter(), time.process_time()
    asyncio.run(bare(url, num_answers))
    floor, floor_cpu = time.perf_counter() - started, time.process_time() - spent

    (scratch / "whole").mkdir()
    before = asked(url)
    started, spent = time.perf_counter(), time.process_time()
    run(config, scratch / "whole", dataset)
    ours, ours_cpu = time.perf_counter() - started, time.process_time() - spent
    sent = asked(url)["total"] - before["total"]

    (scratch / "killed").mkdir()
    started = time.perf_counter()
    before = asked(url)
    starts = killed(config, scratch / "killed", dataset, chosen.kills, ours)
    resumed = time.perf_counter() - started
    again = asked(url)["total"] - before["total"]
    kept = journal.read(scratch / "killed" / "checkpoint" / "served.graded.jsonl")
    places = {(answer.example_id, answer.sample) for answer in kept}
    lost = num_answers - len(places)
    ungraded = sum(item.met is None for answer in kept for item in answer.items)
    lines = [
        f"{chosen.prompts} prompts x {chosen.samples} samples, {len(ITEMS)} items each: "
        f"{num_items} graded items; {MODEL_IN_FLIGHT} conversations and {JUDGE_IN_FLIGHT} "
        "rulings in flight. Model and judge answer at once.",
        "",
        "| | seconds | ms a graded item | CPU ms a graded item | rulings asked |",
        "|---|---:|---:|---:|---:|",
        f"| bare loop (nothing kept) | {floor:.1f} | {1000 * floor / num_items:.2f} | "
        f"{1000 * floor_cpu / num_items:.2f} | {num_items} |",
        f"| Kos | {ours:.1f} | {1000 * ours / num_items:.2f} | "
        f"{1000 * ours_cpu / num_items:.2f} | {sent} |",
        f"| Kos, killed {starts - 1} times | {resumed:.1f} | {1000 * resumed / num_items:.2f} | | "
        f"{again} |",
        "",
        f"Ratio to the bare loop: {ours / floor:.2f}, by CPU {ours_cpu / floor_cpu:.2f}; overhead "
        f"{1000 * (ours - floor) / num_items:.2f} ms a graded item, of CPU "
        f"{1000 * (ours_cpu - floor_cpu) / num_items:.2f}. Killed run: {lost} answers lost, {len(kept) - len(places)} twice, "
        f"{ungraded} items ungraded, {again - num_items} rulings asked a second time (at most "
        f"{JUDGE_IN_FLIGHT} a kill).",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores at a load of {os.getloadavg()[1]:.0f}, "
        f"{platform.processor() or platform.machine()}, "
        f"Python {platform.python_version()}.",
    ]
    print("\n".join(lines))
    assert lost == 0 and ungraded == 0 and len(kept) == len(places)


def asked(url: str) -> dict[str, int]:
    return httpx.get(f"{url}/asked").json()


if __name__ == "__main__":
    main()
