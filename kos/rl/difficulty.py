"""The measure job: how hard each training prompt is, by the model's own share of passes.

Each prompt is answered several times; where checks or a verifier decide, the model also guesses
without thinking, and a prompt it guesses right is easy to hack: reward can be had there without
the reasoning that it is to teach. Source: Kimi k1.5 (arXiv:2501.12599), sec. 2.1.

Prompts are asked some at a time. What a round brought lies in a file of its own, so a job that
was stopped asks only what is missing, and ends with the same file as one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kos.config import Measure
from kos.config.base import Sampling
from kos.data.prompts import read_split
from kos.data.rubrics import RubricTask
from kos.engine.base import Engine, SamplingParams
from kos.engine.sampling import derive
from kos.errors import UserError
from kos.events import Job, Note, Progress, Result, Saved, StepDone
from kos.files import replace_when_whole
from kos.rl.engines import engine_when_needed
from kos.rl.prompts.base import gradable
from kos.rl.verified import answers_of

FILE = "difficulty.json"
BINS = ("never", "up to 25%", "up to 50%", "up to 75%", "under 100%", "always")


class PromptDifficulty(BaseModel):
    """One prompt: how many of its graded answers passed, and how many guesses were right.

    ``guesses`` is 0 where nothing but a judge could have told a right guess.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    graded: int = Field(ge=0)
    passed: int = Field(ge=0)
    guesses: int = Field(0, ge=0)
    guessed: int = Field(0, ge=0)


class Difficulty(BaseModel):
    """What the artifact ``difficulty`` holds. ``guessed``: right guesses by prompt, of ``guesses``.

    A prompt without a single graded answer has no pass rate.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pass_rates: dict[str, float]
    guessed: dict[str, int] = {}
    samples: int
    guesses: int = 0
    threshold: float
    drops_guessed: bool = True
    model: str = ""


def measure(config: Measure, job: Job) -> None:
    """Write ``difficulty.json``. Raises UserError when no answer could be graded."""
    tasks = read_split(job.inputs["dataset"], "train")[: config.max_prompts or None]
    rounds = [
        tasks[start : start + config.prompts_at_once]
        for start in range(0, len(tasks), config.prompts_at_once)
    ]
    found: list[PromptDifficulty] = []
    job.emit(Progress("measure", 0, len(tasks), "prompts"))
    with engine_when_needed(config, job) as engine:
        for number, asked in enumerate(rounds, 1):
            path = job.folder / "checkpoint" / f"round-{number:05}.json"
            if not path.exists():
                seed = derive(job.seed, number)
                made = measure_prompts(config, job, engine(), asked, seed=seed)
                _write(path, [one.model_dump() for one in made])
            rows = json.loads(path.read_bytes())
            measured = [PromptDifficulty.model_validate(row) for row in rows]
            found += measured
            job.emit(Progress("measure", len(found), len(tasks), "prompts"))
            job.emit(StepDone(number, _numbers(measured)))
    _keep(config, job, found)


def measure_prompts(
    config: Measure, job: Job, engine: Engine, tasks: Sequence[RubricTask], *, seed: int
) -> list[PromptDifficulty]:
    """Answer and guess each of ``tasks``; what came of it."""
    answered = _scores(config, job, engine, tasks, config.sampling, config.samples, seed)
    decided = gradable(tasks) if config.guesses else []
    shorter = config.sampling.model_copy(update={"max_tokens": config.guess_tokens})
    asked = [_to_guess(task, config.guess_prompt) for task in decided]
    guessed = _scores(config, job, engine, asked, shorter, config.guesses, derive(seed, 1))

    def count(scores: Sequence[float | None]) -> int:
        return sum(score is not None and score >= config.threshold for score in scores)

    return [
        PromptDifficulty(
            id=task.id,
            graded=sum(score is not None for score in answered[task.id]),
            passed=count(answered[task.id]),
            guesses=len(guessed.get(task.id, ())),
            guessed=count(guessed.get(task.id, ())),
        )
        for task in tasks
    ]


def read_difficulty(path: Path) -> Mapping[str, float]:
    """Pass rates by prompt, for ``Record.difficulty``. Raises UserError."""
    return read(path).pass_rates


def guessable(path: Path) -> set[str]:
    """Prompts that training leaves out because a guess was right; empty where it only flags."""
    found = read(path)
    return (
        {name for name, right in found.guessed.items() if right} if found.drops_guessed else set()
    )


def read(path: Path) -> Difficulty:
    """The whole artifact. Raises UserError when it is none."""
    try:
        return Difficulty.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "file"
        raise UserError(
            f"{path.name} holds no pass rates ({place}: {problem['msg']}); choose what a measure "
            "run made"
        ) from error


def histogram(pass_rates: Mapping[str, float]) -> dict[str, int]:
    """How many prompts pass never, up to a quarter of the times, ..., always."""
    counts = dict.fromkeys(BINS, 0)
    for rate in pass_rates.values():
        counts[_bin(rate)] += 1
    return counts


def _bin(rate: float) -> str:
    if rate in (0, 1):
        return BINS[-1] if rate else BINS[0]
    return next(
        name for name, top in zip(BINS[1:-1], (0.25, 0.5, 0.75, 1), strict=True) if rate <= top
    )


def _scores(
    config: Measure,
    job: Job,
    engine: Engine,
    tasks: Sequence[RubricTask],
    sampling: Sampling,
    count: int,
    seed: int,
) -> dict[str, list[float | None]]:
    """``count`` scores of each task, by its id."""
    if not tasks:
        return {}
    groups = answers_of(
        engine,
        tasks,
        SamplingParams(**sampling.model_dump(), seed=seed),
        num_samples=count,
        grader=config.grader,
        job=job,
        system_prompt=config.system_prompt,
        on_progress=lambda _tokens, _done: job.check(),
    )
    return {
        task.id: [answer.score for answer in group]
        for task, group in zip(tasks, groups, strict=True)
    }


def _to_guess(task: RubricTask, guess_prompt: str) -> RubricTask:
    *before, last = task.messages
    asked = last.model_copy(update={"content": f"{last.content}\n\n{guess_prompt}"})
    return task.model_copy(update={"messages": (*before, asked)})


def _numbers(measured: Sequence[PromptDifficulty]) -> dict[str, float]:
    rates = [one.passed / one.graded for one in measured if one.graded]
    tested = [one for one in measured if one.guesses]
    numbers = {"measure/ungraded": fmean(float(not one.graded) for one in measured)}
    if rates:
        numbers["measure/pass_rate"] = fmean(rates)
    if tested:
        numbers["measure/guessed"] = fmean(float(one.guessed > 0) for one in tested)
    return numbers


def _keep(config: Measure, job: Job, found: Sequence[PromptDifficulty]) -> None:
    rates = {one.id: one.passed / one.graded for one in found if one.graded}
    if not rates:
        raise UserError(
            f"none of the {len(found)} prompts could be graded: give their items checks or a "
            "verifier, or pick a judge as grader"
        )
    if len(rates) < len(found):
        without = f"{len(found) - len(rates)} of {len(found)} prompts"
        job.emit(Note(f"No answer to {without} could be graded: no pass rate.", "warning"))
    adapter = job.inputs.get("adapter")
    made = Difficulty(
        pass_rates=rates,
        guessed={one.id: one.guessed for one in found if one.guesses},
        samples=config.samples,
        guesses=config.guesses,
        threshold=config.threshold,
        drops_guessed=config.guessed == "drop",
        model=job.inputs["base"].name + (f" with {adapter.name}" if adapter else ""),
    )
    _write(job.folder / FILE, made.model_dump())
    summary = {
        "prompts": len(rates),
        "samples": config.samples,
        "threshold": config.threshold,
        "pass_rate": fmean(rates.values()),
        "histogram": histogram(rates),
        "guess_tested": len(made.guessed),
        "guessed": sum(right > 0 for right in made.guessed.values()),
    }
    job.emit(Saved("difficulty", FILE, summary))
    job.emit(Result(summary))


def _write(path: Path, rows: Any) -> None:
    with replace_when_whole(path) as file:
        file.write(json.dumps(rows, indent=1).encode())
