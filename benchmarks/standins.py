"""A console whose jobs take no model: what ``benchmarks.faults`` kills the parts of.

    python -m benchmarks.standins            the whole console, as ``manage.py up`` starts it
    python -m benchmarks.standins worker ... a Celery worker whose jobs are stand-ins

Everything else is the product's: supervisor, PostgreSQL, Valkey, web, workers, reconciler, and
the process of each job. A stand-in counts steps, keeps a checkpoint after each, and leaves a
folder whose bytes follow from the seed and from its inputs, so that a run which was broken off
can be told from one that was not. It writes down, in a file of its own, all that it has said.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from kos.config import JobConfig
from kos.digests import digest_of, text_digest
from kos.events import Checkpointed, Job, Progress, Result, RolloutDone, Saved, Serving, StepDone
from kos.files import replace_when_whole

STEPS = 24
STEP_SECONDS = 0.08
FILES, PIECES, PIECE_BYTES = 3, 8, 50_000
PIECE_SECONDS = 0.02
KINDS: dict[str, Any] = {
    "sft": "adapter",
    "train": "adapter",
    "merge": "merged",
    "export": "quantised",
    "evaluate": "report",
}
SAID = "said.txt"


def stage(config: JobConfig, job: Job) -> None:
    """Count, sum, and leave an artifact."""
    start = text_digest(str(job.seed), config.kind, *_inputs(job))
    file = job.folder / "checkpoint" / "state.json"
    state = json.loads(file.read_text()) if file.exists() else {"step": 0, "sum": 0.0}
    while state["step"] < STEPS:
        step = state["step"] + 1
        number = random.Random(f"{start}/{step}").random()  # noqa: S311 (no secret)
        state = {"step": step, "sum": state["sum"] + number}
        time.sleep(STEP_SECONDS)
        _say(job, step, state["sum"])
        if step % 8 == 0:
            job.emit(_rollout(step, number))
        with replace_when_whole(file) as out:
            out.write(json.dumps(state).encode())
        job.emit(Checkpointed(step))
        job.emit(Progress("steps", step, STEPS, "steps"))
    _write(job.folder / "made", start)
    job.emit(Saved(KINDS[config.kind], "made", {"steps": STEPS}))
    job.emit(Result({"sum": state["sum"]}))


def serve(config: JobConfig, job: Job) -> None:
    """A server that answers nobody, until it is told to stop."""
    job.emit(Serving(f"http+unix://%2Ftmp%2F{os.getpid()}.sock", "kos"))
    while True:
        time.sleep(0.1)
        job.check()


def _inputs(job: Job) -> list[str]:
    """What the inputs hold; the corpus of the tools is the machine's, not the pipeline's."""
    return [
        f"{name} {digest_of(path).sha256}"
        for name, path in sorted(job.inputs.items())
        if name != "corpus"
    ]


def _say(job: Job, step: int, total: float) -> None:
    """Say a step under a number that no other saying has, and write the number down after."""
    mark = float(uuid.uuid4().int % 2**53)
    job.emit(StepDone(step, {"sum": total, "mark": mark}))
    with (job.folder / SAID).open("a") as file:
        file.write(f"{mark:.0f}\n")


def _rollout(step: int, score: float) -> RolloutDone:
    return RolloutDone(
        model="policy",
        example_id=f"example-{step}",
        sample=0,
        messages=({"role": "user", "content": "Which dose?"},),
        answer="Take it with food.",
        thinking="",
        raw="Take it with food.",
        num_tokens=6,
        num_answer_tokens=6,
        stop_reason="end",
        items=(),
        score=score,
        step=step,
    )


def _write(folder: Path, start: str) -> None:
    """Files that take long enough to be killed in the middle of one."""
    for number in range(FILES):
        with replace_when_whole(folder / f"part-{number}.bin") as file:
            for piece in range(PIECES):
                block = hashlib.sha256(f"{start}/{number}/{piece}".encode()).digest()
                file.write(block * (PIECE_BYTES // len(block)))
                time.sleep(PIECE_SECONDS)


# --- The processes ----------------------------------------------------------------------------
def work(arguments: list[str]) -> None:
    """A worker of the console, with stand-ins for its jobs."""
    from kosweb.celery import app
    from workers.jobs import WORK

    for kind in KINDS:
        WORK[kind] = "benchmarks.standins:stage"
    WORK["deploy"] = "benchmarks.standins:serve"
    app.worker_main(arguments)


def keep_house() -> None:
    """The console, until SIGTERM."""
    import django

    django.setup()
    from kosweb import static_files, supervisor
    from kosweb.embedded.process import Child
    from kosweb.programs import programs

    def with_standins(listener: int) -> list[Child]:
        children = programs(listener)
        for child in children:
            command = [str(part) for part in child.command]
            if "celery" in command:
                place = command.index("worker")
                child.command = [sys.executable, "-m", "benchmarks.standins", *command[place:]]
        return children

    supervisor.programs = with_standins
    # Nobody looks at a page here, and nothing asks the tools.
    static_files.collect = lambda: False
    supervisor.corpus_builder = lambda: Child("corpus", ["/bin/true"], Path(os.devnull))
    with supervisor.Supervisor(lambda text: print(text, flush=True)) as up:
        up.start()
        up.watch()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kosweb.settings")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    work(sys.argv[1:]) if sys.argv[1:] else keep_house()
