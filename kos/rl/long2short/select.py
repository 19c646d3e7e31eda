"""The select job: answers sampled and graded, the shortest correct one of each prompt kept.

Prompts are asked some at a time. What a round brought lies in a file of its own, so a job that was
stopped asks only what is missing, and ends with the same file as one that was not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from kos.config import Select
from kos.data import answers as files
from kos.data.answers import GradedAnswer
from kos.data.prompts import read_split
from kos.data.rubrics import RubricTask
from kos.engine.base import Engine, SamplingParams, derive
from kos.errors import UserError
from kos.events import Job, Progress, Result, Saved, StepDone
from kos.rl.engines import engine_when_needed
from kos.rl.long2short import rules
from kos.rl.verified import answers_of


def select(config: Select, job: Job) -> None:
    """Write ``answers.jsonl`` or ``pairs.jsonl``. Raises UserError when nothing can be kept."""
    tasks = read_split(job.inputs["dataset"], config.split)[: config.max_prompts or None]
    rounds = [
        tasks[start : start + config.prompts_at_once]
        for start in range(0, len(tasks), config.prompts_at_once)
    ]
    found: list[GradedAnswer] = []
    with engine_when_needed(config, job) as engine:
        for number, asked in enumerate(rounds, 1):
            path = job.folder / "checkpoint" / f"round-{number:05}.jsonl"
            if not path.exists():
                files.write(path, _ask(config, job, engine(), asked, number))
            answers = files.read(path, GradedAnswer)
            found += answers
            job.emit(Progress("answers", len(found) // config.samples, len(tasks), "prompts"))
            job.emit(StepDone(number, _numbers(config, answers)))
    _keep(config, job, found)


def _ask(
    config: Select, job: Job, engine: Engine, tasks: Sequence[RubricTask], number: int
) -> list[GradedAnswer]:
    """The answers of one round, graded."""
    groups = answers_of(
        engine,
        tasks,
        SamplingParams(**config.sampling.model_dump(), seed=derive(job.seed, number)),
        num_samples=config.samples,
        grader=config.grader,
        job=job,
        system_prompt=config.system_prompt,
        on_progress=lambda _tokens, _done: job.check(),
    )
    return [_judged(config, answer) for group in groups for answer in group]


def _judged(config: Select, answer: GradedAnswer) -> GradedAnswer:
    """A cut answer counts as wrong where the config says so; one without a grade stays so."""
    if answer.is_cut and config.cut_answers == "wrong" and answer.score is not None:
        return answer.model_copy(update={"score": 0.0})
    return answer


def _numbers(config: Select, answers: Sequence[GradedAnswer]) -> dict[str, float]:
    """A round's numbers: pass rate, lengths, and how many prompts have an answer to keep."""
    groups = by_prompt(answers)
    best = [rules.shortest_correct(group, config.threshold) for group in groups]
    kept = [answer for answer in best if answer is not None]
    numbers = {
        "select/kept": len(kept) / len(groups),
        "select/correct": fmean(rules.is_correct(one, config.threshold) for one in answers),
        "select/cut": fmean(one.is_cut for one in answers),
        "ungraded": fmean(one.score is None for one in answers),
        "length/response": fmean(one.num_tokens for one in answers),
    }
    if kept:
        numbers["length/kept"] = fmean(one.num_tokens for one in kept)
    return numbers


def by_prompt(answers: Sequence[GradedAnswer]) -> list[list[GradedAnswer]]:
    """The answers of each prompt, prompts in the order in which they were asked."""
    groups: dict[str, list[GradedAnswer]] = defaultdict(list)
    for answer in answers:
        groups[answer.id].append(answer)
    return list(groups.values())


def _keep(config: Select, job: Job, found: Sequence[GradedAnswer]) -> None:
    """The artifact that was asked for."""
    groups = by_prompt(found)
    best = [rules.shortest_correct(group, config.threshold) for group in groups]
    kept = [answer for answer in best if answer is not None]
    counts = {"prompts": len(groups), "samples": config.samples, "kept": len(kept)}
    if not kept and config.keeps != "all":
        raise UserError(
            f"none of the {len(found)} answers reached a score of {config.threshold:g}"
            + _advice(config, found)
        )
    lengths = {
        "tokens": fmean(answer.num_tokens for answer in found),
        "kept_tokens": fmean(answer.num_tokens for answer in kept) if kept else None,
    }
    summary = counts | lengths
    if config.keeps == "pairs":
        pairs = [
            pair
            for group in groups
            for pair in rules.pairs(group, config.threshold, longer=config.longer)
        ]
        if not pairs:
            raise UserError(
                f"{len(kept)} prompts have a correct answer, but none of them a longer wrong one "
                f"or a correct one {config.longer:g} times as long; draw more samples"
            )
        summary |= {"pairs": len(pairs), "wrong": sum(pair.why == "wrong" for pair in pairs)}
        files.write(job.folder / files.PAIRS, pairs)
        job.emit(Saved("pairs", files.PAIRS, summary))
    else:
        chosen = {id(answer) for answer in kept}
        rows = [
            answer.model_copy(update={"is_chosen": id(answer) in chosen})
            for answer in (found if config.keeps == "all" else kept)
        ]
        files.write(job.folder / files.ANSWERS, rows)
        job.emit(Saved("answers", files.ANSWERS, summary | {"answers": len(rows)}))
    job.emit(Result(summary))


def _advice(config: Select, found: Sequence[GradedAnswer]) -> str:
    """What would do, by what went wrong most."""
    if all(answer.score is None for answer in found):
        return "; none could be graded: give the prompts checks or a verifier, or pick a judge"
    if config.cut_answers == "wrong" and all(answer.is_cut for answer in found):
        return "; all were cut at max_tokens: raise it, or set cut_answers to graded"
    return "; lower the threshold, draw more samples, or train the policy first"
