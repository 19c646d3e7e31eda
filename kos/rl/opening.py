"""Everything a training needs, opened in order and let go of whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from kos.config import Train
from kos.data.prompts import read_split
from kos.data.rubrics import RubricTask
from kos.engine import needs
from kos.engine.base import Engine
from kos.errors import UserError
from kos.events import Job, Note
from kos.grading.base import Grading
from kos.rl import selfcheck
from kos.rl.checkpoints import Checkpoints
from kos.rl.difficulty import guessable, read_difficulty
from kos.rl.engines import engine_of
from kos.rl.gathering import Gathering
from kos.rl.judging import Judging, usable
from kos.rl.memory import Memory
from kos.rl.ptx import Curated
from kos.rl.rewards.self_critique import critics_for
from kos.rl.token_log import TokenLog
from kos.rl.trajectories import Theatre


@dataclass
class Run:
    """A training at work, opened at step ``done``."""

    engine: Engine
    gathering: Gathering
    curated: Curated | None
    token_log: TokenLog
    checkpoints: Checkpoints
    memory: Memory
    done: int
    saving_seconds: float = 0.0


@contextmanager
def open_run(config: Train, job: Job) -> Iterator[Run]:
    """A run at the step it is to go on from. Raises UserError when it cannot be had."""
    _check(config)
    tasks = _read_tasks(config, job)
    checkpoints = Checkpoints(job, config.checkpoint_seconds, config.keep_every)
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        grading = _open_grading(config, job, stack, runner)
        engine = stack.enter_context(engine_of(config, job, sampler=config.sampler))
        done, kept = checkpoints.load(engine)
        by_id = {task.id: task for task in tasks}
        memory = Memory.from_json(kept, by_id, _difficulty(job), num_stages=len(config.rewards))
        if done:
            job.emit(Note(selfcheck.check(engine, memory.fingerprint)))
        needs_tools = bool(config.tools.names) or any(task.environment for task in tasks)
        gathering = Gathering(
            config,
            job,
            tasks,
            engine.chat,
            engine,
            Judging(runner, grading, config.system_prompt),
            Theatre.open(config, engine, runner, job) if needs_tools else None,
            critics_for(config.rewards, engine, job),
            memory,
        )
        token_log = TokenLog(
            job.folder,
            engine.chat,
            config.keep_tokens,
            config.rollouts.old_segments,
            any(task.restricted for task in tasks),
        )
        curated = Curated.open(config, job, engine.chat)
        yield Run(engine, gathering, curated, token_log, checkpoints, memory, done)


def _open_grading(config: Train, job: Job, stack: ExitStack, runner: asyncio.Runner) -> Grading:
    """The grader at work until ``stack`` ends."""
    at_work = config.grader.open(job)

    async def enter() -> Grading:
        return await at_work.__aenter__()

    async def leave() -> None:
        await at_work.__aexit__(None, None, None)

    grading = runner.run(enter())
    stack.callback(lambda: runner.run(leave()))
    return grading


def _difficulty(job: Job) -> Mapping[str, float]:
    """Pass rates that were measured before, by prompt."""
    path = job.inputs.get("difficulty")
    return {} if path is None else read_difficulty(path)


def _read_tasks(config: Train, job: Job) -> list[RubricTask]:
    """The training prompts that can be graded, without those that a guess solves."""
    tasks: Sequence[RubricTask] = read_split(job.inputs["dataset"], "train")
    path = job.inputs.get("difficulty")
    guessed = set() if path is None else guessable(path)
    kept = [task for task in tasks if task.id not in guessed]
    if not kept:
        raise UserError("every training prompt was solved by a guess, so none is left to learn")
    if len(kept) < len(tasks):
        job.emit(Note(f"Left out {len(tasks) - len(kept)} prompts that a guess solved."))
    return usable(kept, config.grader, job)


def _check(config: Train) -> None:
    needs.check(config)
    if config.sampling.temperature == 0:
        raise UserError(
            "at temperature 0 all answers of a group are equal and nothing can be learnt; "
            "set sampling.temperature to 1, say"
        )
