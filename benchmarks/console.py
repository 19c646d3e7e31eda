"""How fast the console is when a team has filled it: pages, calls, and events to many browsers.

    python -m benchmarks.console [--traces 100000] [--runs 1000] [--viewers 200] [--repeats 40]

The real ASGI application under uvicorn (one process), an embedded PostgreSQL, one client on the
same machine. Pages are asked one after the other, each ``--repeats`` times after a warm-up; CPU is
the web process's own for one request, which a busy neighbour on the same machine does not change. Then
``--viewers`` sockets watch one run while another process appends events as a worker does; what
counts is the time from the event's own stamp to each browser, for the oldest of those that come
together. ``benchmarks.metrics`` has the
comparison of logging numbers with MLflow.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import httpx
import psutil

from benchmarks import loads, seeding
from benchmarks.consoles import WEB, database, free_port, running

RATE = 100  # events a second from one run: ten times what a busy training says


def pages(ids: dict[str, Any]) -> dict[str, str]:
    """The ten busiest pages and calls, by what people and programs ask for most."""
    return {
        "home": "/",
        "runs": "/runs/",
        "runs, searched": "/runs/?q=fever&status=failed",
        "one run": f"/runs/{ids['run']}/",
        "its numbers": f"/runs/{ids['run']}/metrics.json?name=reward/mean&name=loss&points=700",
        "traces": "/traces/",
        "traces, searched": "/traces/?q=warfarin+dose",
        "one trace": f"/traces/{ids['trace']}/",
        "models": "/models/",
        "review": "/review/",
        "API: runs": "/api/runs/?limit=50",
        "API: traces": "/api/traces/?limit=50",
    }


def sign_in(url: str) -> httpx.Client:
    client = httpx.Client(base_url=url, timeout=60)
    client.get("/sign-in/")
    form = {
        "username": "ada",
        "password": "correct horse battery",
        "csrfmiddlewaretoken": client.cookies["csrftoken"],
    }
    reply = client.post("/sign-in/", data=form, headers={"Referer": url})
    assert reply.status_code == 302, reply.status_code
    return client


def time_pages(
    client: httpx.Client, web: psutil.Process, ids: dict[str, Any], repeats: int
) -> None:
    out("| page or call | p50 ms | p95 ms | CPU ms | kB |\n|---|---:|---:|---:|---:|")
    token = {"Authorization": f"Bearer {ids['token']}"}
    for name, path in pages(ids).items():
        headers = token if path.startswith("/api/") else {}
        took = []
        for number in range(repeats + 3):
            began = time.perf_counter()
            reply = client.get(path, headers=headers)
            took.append(1000 * (time.perf_counter() - began))
            if reply.status_code != 200:
                raise SystemExit(f"{path} answered {reply.status_code}: {reply.text[:300]}")
            if number == 2:
                took.clear()  # connections, templates, plans
                before = cpu_seconds(web)
        cpu_ms = 1000 * (cpu_seconds(web) - before) / len(took)
        cells = (at(took, 0.5), at(took, 0.95), cpu_ms, len(reply.content) / 1e3)
        out(f"| {name} | {' | '.join(f'{cell:.0f}' for cell in cells)} |")


def cpu_seconds(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


def stolen() -> tuple[float, float]:
    """Seconds that this machine's processors waited for their host, and all their seconds."""
    spent = psutil.cpu_times()
    return float(getattr(spent, "steal", 0.0)), float(sum(spent))


def at(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


# --- Events to browsers -----------------------------------------------------------------------
def speak(runs: list[int], seconds: float) -> None:
    """What a worker's process says."""
    loads.prepare()
    loads.speak(runs, seconds, RATE, 10)


def time_events(client: httpx.Client, port: int, viewers: int, seconds: float) -> None:
    from apps.accounts.models import User
    from apps.runs.models import Run
    from kos.config import Train

    run = Run.objects.create(
        name="spoken",
        kind="train",
        owner=User.objects.get(username="ada"),
        status="running",
        attempt=1,
        config=Train().model_dump(mode="json"),
    )
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    speaker = multiprocessing.get_context("spawn").Process(
        target=speak, args=([run.pk], seconds + 4)
    )
    speaker.start()
    url = f"ws://127.0.0.1:{port}/ws/runs/{run.pk}/?after=0"
    time.sleep(3)  # it imports Django
    seen = loads.watch([loads.Page(url, cookie)] * viewers, seconds)
    speaker.join()
    if seen.errors:
        raise SystemExit(f"browsers met {dict(seen.errors)}")
    delays = [1000 * delay for delay in seen.first]
    steady = delays[len(delays) // 5 :]  # after all have connected and caught up
    out(
        f"\n{viewers} browsers, {RATE} events a second from one run for {seconds:.0f} s: "
        f"{seen.count / seconds:,.0f} events a second delivered, from the event to the browser "
        f"p50 {statistics.median(steady):.0f} ms, p95 {at(steady, 0.95):.0f} ms."
    )


def out(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--repeats", type=int, default=40)
    chosen = parser.parse_args()
    os.environ["KOS_MOST_WATCHERS_OWN"] = "0"  # one person has all the browsers here
    with database() as folder:
        began = time.monotonic()
        ids = seeding.fill(runs=chosen.runs, traces=chosen.traces, steps=chosen.steps)
        load = ", ".join(f"{part:.1f}" for part in os.getloadavg())
        out(
            f"{chosen.traces:,} traces, {chosen.runs:,} runs (seeded in "
            f"{time.monotonic() - began:.0f} s); {os.cpu_count()} cores, load {load}\n"
        )
        port = free_port()
        with running(WEB, port, folder / "web.log") as web:
            client = sign_in(f"http://127.0.0.1:{port}")
            before = stolen()
            time_pages(client, web, ids, chosen.repeats)
            time_events(client, port, chosen.viewers, chosen.seconds)
            gone, whole = (now - then for now, then in zip(stolen(), before, strict=True))
            out(f"The host kept {gone / whole:.0%} of the processors' time for others meanwhile.")


if __name__ == "__main__":
    main()
