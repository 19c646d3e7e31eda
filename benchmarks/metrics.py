"""What it costs to log numbers: Kos's own way from a worker, and MLflow's tracking server.

    python -m benchmarks.metrics [--points 100000] [--names 20] [--read 50000] [--repeats 3]

Both keep the same numbers in the same PostgreSQL server, each in a database of its own; MLflow
is measured on SQLite as well, its own default, and the better of the two counts.

Kos: lines as a job's process writes them, read and checked, in batches as large as the pump's,
each in one transaction that appends the events, renews the lease and records the numbers.
MLflow: ``MlflowClient.log_batch`` with 1,000 numbers, the most that its server takes at once,
made beforehand, to ``mlflow server`` on this machine.

Then one metric of ``--read`` steps is read back: whole, and as a page of charts asks for it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import peers

MLFLOW = ("mlflow==3.17.2", "psycopg2-binary==2.9.13")
MLFLOW_BATCH = 1000
LEASE_SECONDS = 60


# --- The numbers --------------------------------------------------------------------------------
def names(count: int) -> list[str]:
    return [f"reward/part/number_{place}" for place in range(count)]


def steps(points: int, count: int) -> Iterator[tuple[int, dict[str, float]]]:
    """Steps from 1 on, each with ``count`` numbers, until there are ``points``."""
    dice = random.Random(1)  # noqa: S311
    for step in range(1, points // count + 1):
        yield step, {name: dice.gauss(0.5, 0.2) for name in names(count)}


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


# --- Kos ----------------------------------------------------------------------------------------
def kos(points: int, count: int, read: int, repeats: int) -> dict[str, Any]:
    """Points a second into an embedded PostgreSQL, and seconds to read them back."""
    from tests.factories import make_run, make_user

    user = make_user("bench")
    rates = []
    for _ in range(repeats):
        run = make_run("train", owner=user, status="running", attempt=1)
        lines = list(_lines(points, count))
        rates.append(points / timed(lambda run=run, lines=lines: _log(run, lines)))
        _check(run, points)
    long_run = make_run("train", owner=user, status="running", attempt=1)
    _log(long_run, list(_lines(read, 1)))
    return {"points_per_s": rates, **_read_kos(long_run, user, repeats)}


def _lines(points: int, count: int) -> Iterator[bytes]:
    """What a job's process writes to its pipe."""
    started = time.time()
    for step, numbers in steps(points, count):
        data = {"kind": "step", "step": step, "metrics": numbers}
        yield json.dumps({"at": started + step, "data": data}).encode() + b"\n"


def _log(run: Any, told: Sequence[bytes]) -> None:
    from apps.runs import events
    from workers.lines import parse
    from workers.pump import FLUSH_EVENTS
    from workers.reporter import Reporter

    reporter = Reporter(run)
    for first in range(0, len(told), FLUSH_EVENTS):
        lines = [parse(text) for text in told[first : first + FLUSH_EVENTS]]
        events.append(
            run.pk,
            run.attempt,
            reporter.entries(lines),
            lease_seconds=LEASE_SECONDS,
            also=lambda locked, lines=lines: reporter.keep(locked, lines),
        )


def _check(run: Any, points: int) -> None:
    found = run.metrics.count(), run.events.count()
    assert found[0] == points, f"{found[0]} of {points} numbers were kept"


def _read_kos(run: Any, user: Any, repeats: int) -> dict[str, list[float]]:
    from django.db import connection
    from django.test import Client

    from apps.runs.figures import metrics

    with connection.cursor() as cursor:
        # As autovacuum leaves the table of a run that is not of this minute.
        cursor.execute("vacuum analyze runs_metric")
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    name = names(1)[0]
    address = f"/runs/{run.pk}/metrics.json?name={name}&points=2000"
    assert (
        client.get(address).json()["curves"][name]["count"] == metrics.ends(run, [name])[name].last
    )
    many = max(repeats, 10)
    return {
        "whole_s": [timed(lambda: metrics.series(run, [name], points=10**9)) for _ in range(many)],
        "thinned_s": [timed(lambda: metrics.series(run, [name])) for _ in range(many)],
        "get_s": [timed(lambda: client.get(address)) for _ in range(many)],
        "spark_s": [timed(lambda: metrics.spark([run] * 50, name)) for _ in range(many)],
    }


# --- MLflow, in its own environment ---------------------------------------------------------------
def mlflow(url: str, points: int, count: int, read: int, repeats: int) -> dict[str, Any]:
    """The same numbers over MLflow's client; runs in MLflow's Python."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=url)
    experiment = client.create_experiment(f"bench {time.time()}")
    rates = []
    for _ in range(repeats):
        run = client.create_run(experiment).info.run_id
        batches = _batches(points, count)
        rates.append(points / timed(lambda run=run, batches=batches: _send(client, run, batches)))
        assert len(client.get_metric_history(run, names(1)[0])) == points // count
    run = client.create_run(experiment).info.run_id
    _send(client, run, _batches(read, 1))
    whole = []
    for _ in range(repeats):
        found: list[Any] = []
        whole.append(timed(lambda found=found: found.extend(_history(client, run))))
        assert len(found) == read
    return {"points_per_s": rates, "whole_s": whole}


def _batches(points: int, count: int) -> list[list[Any]]:
    from mlflow.entities import Metric

    at = int(1000 * time.time())
    told = [
        Metric(name, value, at + 1000 * step, step)
        for step, numbers in steps(points, count)
        for name, value in numbers.items()
    ]
    return [told[first : first + MLFLOW_BATCH] for first in range(0, len(told), MLFLOW_BATCH)]


def _send(client: Any, run: str, batches: Sequence[Sequence[Any]]) -> None:
    for batch in batches:
        client.log_batch(run, metrics=batch)


def _history(client: Any, run: str) -> list[Any]:
    """All of one metric; the client asks for page after page where the server gives pages."""
    found: list[Any] = client.get_metric_history(run, names(1)[0])
    return found


@contextmanager
def mlflow_server(python: Path, store: str, folder: Path) -> Iterator[str]:
    """MLflow's tracking server on ``store``; yields its address.

    One worker, as there is one client: four would wait, and share two cores.
    """
    from benchmarks.consoles import free_port

    port, log = free_port(), folder / "mlflow.log"
    command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", store, "--default-artifact-root", str(folder / "files")]
    command += ["--workers", "1"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, stdout=out, stderr=out, start_new_session=True
        )
    try:
        end = time.monotonic() + 300
        while not _is_well(port):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"MLflow did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        # It has children of its own.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _is_well(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def measure_mlflow(python: Path, store: str, told: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="kos-mlflow-") as name:
        with mlflow_server(python, store.format(folder=name), Path(name)) as url:
            command = [python, __file__, "--mlflow", url, "--points", told.points]
            command += ["--names", told.names, "--read", told.read, "--repeats", told.repeats]
            environment = {
                **{key: value for key, value in os.environ.items() if key != "PYTHONHOME"},
                "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            }
            done = subprocess.run(
                [str(word) for word in command],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


# --- Side by side -----------------------------------------------------------------------------
def peer_database() -> str:
    """An empty database of MLflow's own in the same server."""
    from django.db import connection
    from psycopg.conninfo import conninfo_to_dict

    with connection.cursor() as cursor:
        cursor.execute("drop database if exists mlflow")
        cursor.execute("create database mlflow")
    known = conninfo_to_dict(connection.connection.info.dsn)
    return (
        f"postgresql+psycopg2://{known['user']}@/mlflow"
        f"?host={known['host']}&port={known.get('port', 5432)}"
    )


def told_apart(found: dict[str, dict[str, Any]], read: int) -> None:
    """The tables, as benchmarks/results keeps them."""
    print("\n| logging | points/s, median | of each repeat |\n|---|---|---|")
    for way, numbers in found.items():
        each = ", ".join(f"{rate:,.0f}" for rate in numbers["points_per_s"])
        print(f"| {way} | {statistics.median(numbers['points_per_s']):,.0f} | {each} |")
    best = {way: statistics.median(one["points_per_s"]) for way, one in found.items()}
    peer = max(rate for way, rate in best.items() if way != "Kos")
    print(f"\nKos logs {best['Kos'] / peer:.1f} times as fast as MLflow at its better.")
    print(f"\n| reading {read:,} steps of one metric | ms, median |\n|---|---|")
    said = {
        "whole_s": "every number",
        "thinned_s": "thinned to 2,000 points",
        "get_s": "the same over the page's address, as JSON",
        "spark_s": "small curves of 50 runs, one query",
    }
    for way, numbers in found.items():
        for key, words in said.items():
            if key in numbers:
                print(f"| {way}: {words} | {1000 * statistics.median(numbers[key]):,.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--names", type=int, default=20, help="numbers a step")
    parser.add_argument("--read", type=int, default=50_000, help="steps of the metric read back")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--mlflow", default="", help=argparse.SUPPRESS)
    told = parser.parse_args()
    counts = (told.points, told.names, told.read, told.repeats)
    if told.mlflow:
        print(json.dumps(mlflow(told.mlflow, *counts)))
        return
    python = peers.python_with(*MLFLOW)
    from benchmarks.consoles import database

    found = {}
    with database(has_pages=False):
        found["Kos"] = kos(*counts)
        store = peer_database()
        found["MLflow on PostgreSQL"] = measure_mlflow(python, store, told)
    found["MLflow on SQLite"] = measure_mlflow(python, "sqlite:///{folder}/mlflow.db", told)
    told_apart(found, told.read)


if __name__ == "__main__":
    main()
