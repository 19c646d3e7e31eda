"""The train job: reinforcement learning on rubrics, one readable loop.

A step gathers groups of answers, graded and rewarded, and turns them into a few optimiser steps
over whole groups. With ``rollouts.ahead`` the gathering runs some steps before the training.
Everything random derives from (seed, step) and all else lies in the checkpoint's memory, so a
run taken up at its checkpoint ends in the same bits as one that was never stopped.

============  ===========================================================================
opening       engine, sampler, grader, tools and memory of a run, let go of at its end
gathering     prompts, answers, grades and rewards of a step (partial, rounds, trajectories,
              judging)
rollouts      groups of answers, and what the engine learns from them
updates       the optimiser steps (stale, ptx, normalise, the losses)
telling       a step's numbers, and why it taught nothing
alarms        what is wrong, while it can still be mended
memory        what lies in the checkpoint beside the weights
============  ===========================================================================
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from kos.config import Train
from kos.events import Job, Result, Saved, StepDone
from kos.rl import alarms, selfcheck, telling
from kos.rl.memory import Batch
from kos.rl.opening import Run, open_run
from kos.rl.updates import update

ADAPTER = "adapter"


def train(config: Train, job: Job) -> None:
    """Train an adapter and save it to ``job.folder/adapter``. Raises UserError."""
    numbers: dict[str, float] = {}
    with open_run(config, job) as run:
        for step in range(run.done + 1, config.steps + 1):
            began = time.monotonic()
            batch = _gather(config, run, step)
            done = update(config, job, run.engine, batch.groups, step=step, curated=run.curated)
            run.token_log.write(step, batch.groups, done.learnt)
            numbers = telling.numbers_of(run, batch, done, seconds=time.monotonic() - began)
            raised, notes = alarms.check(config, numbers, run.memory.history, step)
            for note in [*telling.explain(batch, done, step), *notes]:
                job.emit(note)
            job.emit(StepDone(step, {**numbers, **raised}))
            _save(config, run, step)
        run.engine.save_weights(job.folder / ADAPTER)
    summary = {"rank": config.lora.rank, "alpha": config.lora.alpha, "steps": config.steps}
    job.emit(Saved("adapter", ADAPTER, summary))
    job.emit(Result({**summary, **numbers}))


def _gather(config: Train, run: Run, step: int) -> Batch:
    """The batch of ``step``, after all that is due by now was sampled.

    That is the batch of ``step + ahead``, and at the start all up to it. Whoever samples ahead
    samples from the policy as it is: its answers wait in the queue and grow old.
    """
    memory = run.memory
    for coming in range(memory.sampled + 1, min(step + config.rollouts.ahead, config.steps) + 1):
        memory.queue.append(run.gathering.gather(coming))
        memory.sampled = coming
    batch = memory.queue.pop(0)
    assert batch.step == step
    return batch


def _save(config: Train, run: Run, step: int) -> None:
    began = time.monotonic()

    def memory() -> Mapping[str, object]:
        run.memory.fingerprint = selfcheck.fingerprint(run.engine)
        return run.memory.to_json()

    run.checkpoints.save(run.engine, step, memory, is_last=step == config.steps)
    run.saving_seconds = time.monotonic() - began
