"""Jobs that take no model: what the worker's machinery is tried with.

``train`` jobs count ``config.steps`` steps and sum their numbers, so that a run which was
broken off and taken up again can be told from one that was not.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import signal
import sys
import time

from kos.errors import UserError
from kos.events import (
    Checkpointed,
    Note,
    Progress,
    Result,
    RolloutDone,
    Saved,
    Serving,
    StepDone,
)

STEP_SECONDS = 0.02


def count(config, job):
    """Count and sum; a checkpoint after every step, written whole."""
    sys.stdout.write("a library says hello on standard output\n")
    checkpoint = job.folder / "checkpoint" / "state.json"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    state = {"step": 0, "sum": 0.0}
    if checkpoint.exists():
        state = json.loads(checkpoint.read_text())
        job.emit(Note(f"goes on after step {state['step']}"))
    while state["step"] < config.steps:
        step = state["step"] + 1
        state = {"step": step, "sum": state["sum"] + random.Random(f"{job.seed}/{step}").random()}
        time.sleep(STEP_SECONDS)
        # Said first, as every real job does: a kill in between repeats a step and loses none.
        job.emit(StepDone(step, {"sum": state["sum"]}))
        job.emit(Progress("steps", step, config.steps, "steps"))
        write(checkpoint, json.dumps(state))
        job.emit(Checkpointed(step))
    write(job.folder / "adapter.json", json.dumps(state))
    job.emit(Saved("adapter", "adapter.json", {"steps": config.steps}))
    job.emit(Result(state))


def write(path, text):
    fresh = path.with_suffix(".tmp")
    fresh.write_text(text)
    fresh.replace(path)


def crash_once(config, job):
    """Die like a process out of memory, at the first attempt."""
    mark = job.folder / "mark"
    if not mark.exists():
        mark.touch()
        job.emit(Note("about to crash"))
        os.kill(os.getpid(), signal.SIGKILL)
    job.emit(Result({"attempts": 2}))


def crash(config, job):
    os.kill(os.getpid(), signal.SIGSEGV)


def linger(config, job):
    """Be done, and not come to an end: as a process that gives gigabytes back on a busy machine."""
    atexit.register(time.sleep, 60)
    job.emit(Result({"score": 1.0}))


def refuse(config, job):
    raise UserError("the base has no tokenizer; pick another")


def stumble(config, job):
    raise ZeroDivisionError("by nothing")


def sulk(config, job):
    """Hear no wish to stop."""
    job.emit(Note("deaf"))
    while True:
        time.sleep(0.05)


def serve(config, job):
    """A server: it answers until it is told to stop."""
    job.emit(Serving("http+unix://%2Ftmp%2Fkos.sock", "kos"))
    while True:
        time.sleep(0.02)
        job.emit(Progress("answers", 0, 0))


def answer(config, job):
    """One rollout, with what PostgreSQL would not take."""
    rollout = RolloutDone(
        model="policy",
        example_id="one",
        sample=0,
        messages=({"role": "user", "content": "May I?"},),
        answer="\x00" + "long " * 100,
        thinking="",
        raw="\ud800",
        num_tokens=100,
        num_answer_tokens=100,
        stop_reason="end",
        items=(),
        score=0.5,
    )
    job.emit(rollout)
    job.emit(StepDone(1, {"loss": float("nan"), "kl": 0.5}))
    sys.stdout.flush()


def use_secret(config, job):
    """Ask for a key and tell only how long it is."""
    job.emit(Result({"length": len(job.secret("judge"))}))


def fill_disk(config, job):
    """Write into the run's folder until its disk is full."""
    with (job.folder / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(100_000))
