"""The train job: reinforcement learning on rubrics, one readable loop.

A step picks prompts, samples a group of answers to each, grades and rewards them, and turns
them into a few optimiser steps over whole groups. Everything random derives from (seed, step),
so a run taken up at its checkpoint ends in the same bits as one that was never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from kos.config import Train
from kos.data.prompts import conversation, read_split
from kos.data.rubrics import RubricTask
from kos.engine.base import Datum, Engine, SamplingParams
from kos.engine.sampling import derive
from kos.errors import UserError
from kos.events import Job, Note, Progress, Result, Saved, StepDone
from kos.rl import metrics
from kos.rl.checkpoints import Checkpoints
from kos.rl.prompts.base import Record, gradable
from kos.rl.rewards.base import Situation
from kos.rl.rollouts import Group, assess, compare, event, reward, split_substeps

ADAPTER = "adapter"


def train(config: Train, job: Job) -> None:
    """Train an adapter and save it to ``job.folder/adapter``. Raises UserError."""
    _check(config)
    tasks = _read_tasks(job)
    checkpoints = Checkpoints(job, config.checkpoint_seconds)
    engine = config.engine.open(
        job,
        checkpoints.machine(),
        lora=config.lora,
        base=job.inputs["base"],
        adapter=job.inputs.get("adapter"),
    )
    job.emit(Note(engine.describe()))
    numbers: dict[str, float] = {}
    done, _memory = checkpoints.load(engine)
    for step in range(done + 1, config.steps + 1):
        groups, sampling = _sample(config, job, engine, tasks, step)
        numbers = {**sampling, **_update(config, job, engine, groups, step)}
        job.emit(StepDone(step, numbers))
        checkpoints.save(engine, step, is_last=step == config.steps)
    engine.save_weights(job.folder / ADAPTER)
    summary = {"rank": config.lora.rank, "alpha": config.lora.alpha, "steps": config.steps}
    job.emit(Saved("adapter", ADAPTER, summary))
    job.emit(Result({**summary, **numbers}))


def _check(config: Train) -> None:
    if config.sampling.temperature == 0:
        raise UserError(
            "at temperature 0 all answers of a group are equal and nothing can be learnt; "
            "set sampling.temperature to 1, say"
        )


def _read_tasks(job: Job) -> list[RubricTask]:
    tasks = read_split(job.inputs["dataset"], "train")
    kept = gradable(tasks)
    if not kept:
        raise UserError(
            f"none of the {len(tasks)} training prompts has a check on every rubric item, and "
            "items without one cannot be graded here; add checks, or pick another dataset"
        )
    if len(kept) < len(tasks):
        left_out = len(tasks) - len(kept)
        job.emit(Note(f"Left out {left_out} prompts with items that have no check.", "warning"))
    return kept


def _sample(
    config: Train, job: Job, engine: Engine, tasks: Sequence[RubricTask], step: int
) -> tuple[list[Group], dict[str, float]]:
    """The step's groups, graded and compared, and their numbers."""
    began = time.monotonic()
    places = config.prompts.pick(
        tasks, config.groups, step=step, num_steps=config.steps, seed=job.seed, record=Record()
    )
    picked = [tasks[place] for place in places]
    prompts = [engine.chat.encode(conversation(task, config.system_prompt)) for task in picked]
    total = config.groups * config.group_size
    job.emit(Progress("sample", 0, total, "answers"))
    params = SamplingParams(**config.sampling.model_dump(), seed=derive(job.seed, step))
    answers = engine.sample(
        prompts,
        params,
        num_samples=config.group_size,
        on_progress=lambda _tokens, done: job.emit(Progress("sample", done, total, "answers")),
    )
    seconds = time.monotonic() - began
    groups = []
    for task, prompt, samples in zip(picked, prompts, answers, strict=True):
        rollouts = [assess(task, sampled, engine.chat) for sampled in samples]
        situation = Situation(task, (step - 1) / config.steps, step)
        rollouts = reward(rollouts, config.rewards, [situation] * len(config.rewards))
        groups.append(compare(task, prompt, rollouts, config.loss))
    for group in groups:
        for number, rollout in enumerate(group.rollouts):
            job.emit(event(group, number, rollout, step=step, system_prompt=config.system_prompt))
    num_tokens = sum(rollout.num_tokens for group in groups for rollout in group.rollouts)
    numbers = metrics.of_groups(groups)
    return groups, {
        **numbers,
        "time/sample": seconds,
        "tokens/per_second": num_tokens / seconds,
    }


def _update(
    config: Train, job: Job, engine: Engine, groups: Sequence[Group], step: int
) -> dict[str, float]:
    """The optimiser steps over the groups that teach something, and their numbers."""
    began = time.monotonic()
    kept = [group for group in groups if group.graded]
    if config.rollouts.equal_groups != "keep":
        kept = [group for group in kept if not group.is_equal]
    substeps = split_substeps(kept, config.substeps)
    losses, norms = [], []
    data: list[Datum] = []
    logprobs: list[tuple[float, ...]] = []
    for number, substep in enumerate(substeps):
        batch = [datum for group in substep for datum in group.data()]

        def tell(done: int, total: int, number: int = number) -> None:
            share = (number + done / total) / len(substeps)
            job.emit(Progress("train", step - 1 + share, config.steps, "steps"))

        tell(0, 1)
        output = engine.forward_backward(
            batch, config.loss, temperature=config.sampling.temperature, on_progress=tell
        )
        norms.append(engine.optim_step(config.adam)["grad_norm"])
        losses.append(output.loss)
        data += batch
        logprobs += output.logprobs
    job.emit(Progress("train", step, config.steps, "steps"))
    return {
        **metrics.of_update(data, logprobs, config.loss),
        "loss": metrics.mean(losses),
        "grad_norm": metrics.mean(norms),
        "time/train": time.monotonic() - began,
    }
